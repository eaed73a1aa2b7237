#!/usr/bin/env bash
# Installs what is missing to build, test or measure Rampart on a Debian-like machine, and says what it does.
#
#   scripts/setup.sh build          a C compiler and the mold linker
#   scripts/setup.sh test           build + sshd, PostgreSQL, foreign SSH clients, a Python virtual environment in .venv
#   scripts/setup.sh bench          test + MariaDB, for the benchmark's own environment
#
# It starts no system service: while it installs, /usr/sbin/policy-rc.d forbids that (an existing one is left alone).
# Rust, cargo and Python 3.11 or newer are expected to be there.
set -euo pipefail
cd "$(dirname "$0")/.."
what=${1:-test}

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }

# "path of a file the package brings" "package"
build_needs=(/usr/bin/cc:gcc /usr/bin/c++:g++ /usr/bin/make:make /usr/bin/mold:mold /usr/bin/curl:curl)
test_needs=(
  /usr/sbin/sshd:openssh-server /usr/bin/ssh:openssh-client /usr/bin/sshpass:sshpass
  /usr/bin/plink:putty-tools /usr/bin/dbclient:dropbear-bin
  /usr/bin/psql:postgresql-client /usr/bin/pg_ctlcluster:postgresql
  /usr/bin/tmux:tmux /usr/bin/vim:vim /usr/bin/htop:htop /usr/bin/zsh:zsh /usr/bin/fish:fish
  /usr/bin/ps:procps /usr/bin/setpriv:util-linux /usr/bin/openssl:openssl /usr/bin/sudo:sudo
)
bench_needs=(/usr/sbin/mariadbd:mariadb-server /usr/bin/pgbench:postgresql)

missing=()
want() { # want PATH:PACKAGE…
  local item
  for item in "$@"; do
    [ -e "${item%%:*}" ] || missing+=("${item##*:}")
  done
}

case $what in
  build) want "${build_needs[@]}" ;;
  test) want "${build_needs[@]}" "${test_needs[@]}" ;;
  bench) want "${build_needs[@]}" "${test_needs[@]}" "${bench_needs[@]}" ;;
  *) die "usage: $0 build|test|bench" ;;
esac
if [ "$what" != build ]; then
  python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
  # A few of the tools above are useless without the server part they depend on.
  compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing+=(postgresql)
fi

if [ ${#missing[@]} -gt 0 ]; then
  mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
  as_root=()
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || die "not root and no sudo; please install: ${missing[*]}"
    as_root=(sudo)
  fi
  command -v apt-get >/dev/null || die "no apt-get here; please install the equivalents of: ${missing[*]}"
  if [ ! -e /usr/sbin/policy-rc.d ]; then
    say "writing /usr/sbin/policy-rc.d so that no package starts a service"
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee /usr/sbin/policy-rc.d >/dev/null
    "${as_root[@]}" chmod 755 /usr/sbin/policy-rc.d
  fi
  say "installing ${missing[*]}"
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
else
  say "every package for '$what' is there"
fi

command -v cargo >/dev/null || die "cargo is missing: install Rust first (https://rustup.rs), version $(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml) or newer"

if [ "$what" != build ]; then
  stamp=.venv/.requirements
  if ! cmp -s tests/requirements.txt "$stamp"; then
    say "making the Python environment .venv from tests/requirements.txt"
    [ -x .venv/bin/python ] || python3 -m venv .venv
    .venv/bin/python -m pip install --quiet --disable-pip-version-check -r tests/requirements.txt
    cp tests/requirements.txt "$stamp"
  fi
fi
