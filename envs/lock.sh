#!/usr/bin/env bash
# Write envs/requirements.lock.txt: the versions of all packages that envs/requirements.txt leads to, also
# of those that it does not name. Versions that are there stay, unless --upgrade is given.
# Needs uv (pip install uv).
set -euo pipefail
cd "$(dirname "$0")/.."
exec uv pip compile --quiet --universal --python-version 3.11 --no-annotate "$@" \
  --custom-compile-command envs/lock.sh --output-file envs/requirements.lock.txt envs/requirements.txt
