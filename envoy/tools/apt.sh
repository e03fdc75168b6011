#!/bin/bash
# apt.sh PACKAGE...: makes sure that these Debian packages are there. Changes the system only as root or in CI.
set -euo pipefail

missing=()
for package in "$@"; do
  status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
  [[ $status == installed ]] || missing+=("$package")
done
((${#missing[@]})) || exit 0

install=(apt-get install --yes --no-install-recommends "${missing[@]}")
sudo=()
if ! command -v apt-get >/dev/null; then
  echo "missing: ${missing[*]} (so named in Debian; there is no apt-get here)" >&2
  exit 1
elif [[ ${CI:-} != true ]] && ((EUID != 0)); then
  echo "missing: ${missing[*]}. Install with" >&2
  echo "    sudo apt-get update && sudo ${install[*]}" >&2
  exit 1
elif ((EUID != 0)); then
  sudo=(sudo)
fi

echo "installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
"${sudo[@]}" apt-get update -qq
"${sudo[@]}" "${install[@]}" -qq >/dev/null
