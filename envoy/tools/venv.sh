#!/bin/bash
# venv.sh DIR REQUIREMENTS: a Python environment with the packages that the demo and the end-to-end tests need.
set -euo pipefail

python3 -c 'import ensurepip, venv' 2>/dev/null || "$(dirname "$0")/apt.sh" python3 python3-venv
echo "installing the packages of $2 into $1"
python3 -m venv "$1"
"$1/bin/python" -m pip install --quiet --requirement "$2"
