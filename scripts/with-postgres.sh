#!/usr/bin/env bash
# Runs a command with a throw-away PostgreSQL of its own: RAMPART_TEST_POSTGRES_URL names it (a superuser on an empty
# cluster, loopback only). The cluster is stopped and deleted when the command ends.
#
#   scripts/with-postgres.sh cargo nextest run -p store-sql
set -euo pipefail
bin=$(compgen -G '/usr/lib/postgresql/*/bin' | sort -V | tail -n 1) || { echo "with-postgres: PostgreSQL is not installed; run make setup" >&2; exit 1; }
dir=$(mktemp -d "${TMPDIR:-/tmp}/rampart-pg.XXXXXX")
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')

# PostgreSQL refuses to run as root; as somebody else we simply are the owner.
as_owner=()
if [ "$(id -u)" = 0 ]; then
  chown postgres: "$dir"
  as_owner=(setpriv --reuid postgres --regid postgres --clear-groups)
fi
cleanup() {
  (cd / && "${as_owner[@]}" "$bin/pg_ctl" -D "$dir/data" -m immediate -w stop >/dev/null 2>&1) || true
  rm -rf "$dir"
}
trap cleanup EXIT
(
  cd /
  "${as_owner[@]}" "$bin/initdb" -D "$dir/data" -U rampart -A trust -E UTF8 --locale=C.UTF-8 >"$dir.log" 2>&1
  "${as_owner[@]}" "$bin/pg_ctl" -D "$dir/data" -w -t 30 -l "$dir/server.log" \
    -o "-p $port -h 127.0.0.1 -k $dir -c fsync=off -c max_connections=200" start >"$dir.log" 2>&1
) || { cat "$dir.log" >&2; exit 1; }
rm -f "$dir.log"

export RAMPART_TEST_POSTGRES_URL="postgres://rampart@127.0.0.1:$port/postgres"
status=0
"$@" || status=$?
exit "$status"
