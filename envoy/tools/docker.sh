#!/bin/bash
# docker.sh: fails, in one line, where there is no Docker engine to run containers on, or no Compose. Starts nothing.
set -euo pipefail

fail() {
  echo "make e2e-docker needs a running Docker engine and Compose: $*" >&2
  exit 1
}

command -v docker >/dev/null || fail "there is no command docker"
answer=$(docker version --format '{{.Server.Version}}' 2>&1) || fail "${answer##*$'\n'}"
docker compose version >/dev/null 2>&1 || command -v docker-compose >/dev/null ||
  fail "there is neither docker compose nor docker-compose"
