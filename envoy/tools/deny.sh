#!/bin/bash
# deny.sh CARGO-DENY: licences, sources and versions of every crate against deny.toml; then what RustSec knows of them, where
# its database can be fetched. Says so where it cannot.
set -euo pipefail
cd "$(dirname "$0")/../.."
deny=$1

"$deny" --locked check bans licenses sources

if said=$("$deny" --locked fetch db 2>&1); then
  "$deny" --locked --offline check advisories
else
  why=$(grep -m 1 '^fatal: ' <<<"$said" || tail -n 1 <<<"$said")
  echo "make deny: advisories were NOT looked up, their database cannot be fetched: ${why#fatal: }" >&2
fi
