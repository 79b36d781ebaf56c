#!/bin/sh
# What both container definitions run in a Debian with Python: a C compiler for the project's own
# code, git for the engines without a shared folder, and the packages of requirements.txt.
set -eu
apt-get update
apt-get install --yes --no-install-recommends gcc libc6-dev git
rm -rf /var/lib/apt/lists/*
pip install --no-cache-dir --requirement "$(dirname "$0")/requirements.txt"
