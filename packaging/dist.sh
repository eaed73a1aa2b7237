#!/usr/bin/env bash
# Packs a release: the program, the documents, service and container files, the list of what was built in, checksums.
set -euo pipefail
cd "$(dirname "$0")/.."
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
name=rampart-$version-$(uname -m)-linux
out=target/dist
rm -rf "${out:?}/$name"
mkdir -p "$out/$name"
cp target/release/rampart "$out/$name/"
strip --strip-debug "$out/$name/rampart" 2>/dev/null || true
cp -r README.md LICENSE CHANGELOG.md docs "$out/$name/"
cp packaging/rampart.service packaging/Dockerfile packaging/compose.yaml "$out/$name/"
# Every crate that is linked in, with version, licence and where it came from.
cargo metadata --format-version 1 --locked --filter-platform "$(rustc -vV | sed -n 's/^host: //p')" |
  python3 -c '
import json, sys
packages = sorted(json.load(sys.stdin)["packages"], key=lambda p: (p["name"], p["version"]))
json.dump({"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1, "components": [
    {"type": "library", "name": p["name"], "version": p["version"], "purl": "pkg:cargo/%s@%s" % (p["name"], p["version"]),
     "licenses": [{"expression": p["license"]}] if p["license"] else []} for p in packages]}, sys.stdout, indent=1)
' >"$out/$name/sbom.cdx.json"
(cd "$out" && tar --sort=name --owner=0 --group=0 --numeric-owner -czf "$name.tar.gz" "$name" && sha256sum "$name.tar.gz" >"$name.tar.gz.sha256")
echo "dist: $out/$name.tar.gz"
