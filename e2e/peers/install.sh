#!/usr/bin/env bash
# Installs the peers, pinned, below this folder (ignored by git). Needs python3 with venv, and npm.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

digest() { cat "$@" | python3 -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())'; }

wanted=$(digest requirements.in requirements.txt)
if [ "$(cat .venv/.pins 2>/dev/null)" != "$wanted" ]; then
  rm -rf .venv
  python3 -m venv .venv
  .venv/bin/python -m pip install --quiet --disable-pip-version-check -c requirements.txt -r requirements.in
  printf '%s\n' "$wanted" >.venv/.pins
fi

wanted=$(digest package.json package-lock.json)
if [ "$(cat node_modules/.pins 2>/dev/null)" != "$wanted" ]; then
  npm ci --no-audit --no-fund --loglevel=error
  if ! node_modules/node/bin/node --version 2>/dev/null | grep -q '^v22\.'; then
    (cd node_modules/node && node installArchSpecificPackage)
  fi
  printf '%s\n' "$wanted" >node_modules/.pins
fi
