#!/usr/bin/env bash
# Measures a release build of Rampart against a direct connection and prints the ratios.
#
#   bench/run.sh                     everything the harness knows for SSH, about ten minutes
#   bench/run.sh --only echo,bulk    parts: mem,ttfb,handshake,echo,bulk,scp,stall,integrity
#
# The harness (bench.py and env.sh, which starts the target) is looked for in BENCH_HARNESS, default ../shared/bench.
# Everything listens on loopback. State and results are in bench/out; what was started is ended by process id.
set -euo pipefail
cd "$(dirname "$0")/.."
harness=${BENCH_HARNESS:-../shared/bench}
rampart=${RAMPART_BINARY:-target/release/rampart}
python=${PYTHON:-.venv/bin/python}
out=$PWD/bench/out
export BENCH_STATE=${BENCH_STATE:-${TMPDIR:-/tmp}/rampart-bench}
ssh_port=12022 web_port=12080

die() { echo "bench: $*" >&2; exit 1; }
[ -f "$harness/bench.py" ] || die "no harness in $harness; set BENCH_HARNESS to the folder with bench.py and env.sh"
[ -x "$rampart" ] || die "$rampart is missing: cargo build --release -p server"
[ "$(id -u)" = 0 ] || die "needs root: it runs sshd with an account of its own and reads /proc of other users"

mkdir -p "$out"
data=$(mktemp -d "${TMPDIR:-/tmp}/rampart-bench-data.XXXXXX")
pid=
cleanup() {
  [ -z "$pid" ] || { kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null; } || true
  bash "$harness/env.sh" down >/dev/null 2>&1 || true
  rm -rf "$data"
}
trap cleanup EXIT

echo "bench: starting the targets"
bash "$harness/env.sh" up

echo "bench: starting Rampart on port $ssh_port"
export RAMPART_WEB_LISTEN=127.0.0.1:$web_port RAMPART_WEB_TLS=off RAMPART_SSH_LISTEN=127.0.0.1:$ssh_port RAMPART_LOG=warn
RAMPART_ADMIN_PASSWORD=$(head -c 18 /dev/urandom | base64) "$rampart" serve --data "$data/rampart" >"$out/rampart.log" 2>&1 &
pid=$!
echo "$pid" >"$BENCH_STATE/rampart.pid"
for _ in $(seq 300); do
  curl -fsS -o /dev/null "http://127.0.0.1:$web_port/readyz" 2>/dev/null && break
  kill -0 "$pid" 2>/dev/null || { cat "$out/rampart.log" >&2; die "the server ended"; }
  sleep 0.1
done

# The same person and account for both targets of the harness: one with every cipher, one with AES-GCM only.
cat >"$data/bench.yaml" <<YAML
kind: User
metadata: {name: bencher}
spec: {name: Bencher, email: bencher@example.org, public_keys: ["$(cut -d' ' -f1,2 "$BENCH_STATE/id_user.pub") bench"]}
---
kind: Host
metadata: {name: target}
spec:
  address: 127.0.0.1
  platform: Linux
  protocols: [ssh/2201]
  accounts: [{username: bench, secret_type: ssh_key, secret: {file: $BENCH_STATE/id_user}}]
---
kind: Host
metadata: {name: target-aes}
spec:
  address: 127.0.0.1
  platform: Linux
  protocols: [ssh/2203]
  accounts: [{username: bench, secret_type: ssh_key, secret: {file: $BENCH_STATE/id_user}}]
---
kind: AssetPermission
metadata: {name: bench}
spec: {users: [bencher], assets: [target, target-aes], accounts: ["@ALL"], protocols: [all], actions: [connect]}
YAML
"$rampart" apply -f "$data/bench.yaml" --data "$data/rampart"

cat >"$out/targets.json" <<JSON
{"run": {"budget_s": 580, "ttfb_n": 20, "hs_secs": 4, "hs_rounds": 2, "hs_par": 20, "hs_par_total": 60, "echo_n": 2000, "paced_n": 200,
  "loaded_rounds": 2, "bulk_bytes": 1073741824, "bulk_reps": 3, "bulk_max_s": 2.5, "mem_sessions": [0, 100, 500, 1000],
  "kex": "curve25519-sha256"},
 "own_pidfiles": ["$BENCH_STATE/sshd_target.pid", "$BENCH_STATE/sshd_aes.pid"],
 "ssh": [
  {"name": "direct", "baseline": true, "host": "127.0.0.1", "port": 2201, "user": "bench", "identity": "$BENCH_STATE/id_user",
   "pidfile": "$BENCH_STATE/sshd_target.pid", "forking": true, "skip": ["scp"]},
  {"name": "rampart", "host": "127.0.0.1", "port": $ssh_port, "user": "bencher@bench@target", "identity": "$BENCH_STATE/id_user",
   "pidfile": "$BENCH_STATE/rampart.pid", "skip": ["scp"]}
 ]}
JSON
"$rampart" --version
"$python" "$harness/bench.py" "$out/targets.json" --out "$out/result.json" "$@" || status=$?
echo "bench: results in bench/out/result.json"
exit "${status:-0}"
