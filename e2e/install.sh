#!/usr/bin/env bash
# Installs what the end-to-end tests talk to and did not write themselves: Node 22, the MCP clients and servers of npm,
# the conformance suite, and the Python clients. Everything lands in e2e/node_modules and e2e/.venv (ignored by git);
# a folder whose pins have not changed is left alone. Needs npm (with any Node that runs it) and python3 with venv.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

digest() { cat "$@" | python3 -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())'; }

node22() { node_modules/node/bin/node --version 2>/dev/null | grep -q '^v22\.'; }

node_parts() {
  local wanted
  wanted=$(digest package.json package-lock.json)
  if [ "$(cat node_modules/.pins 2>/dev/null)" = "$wanted" ] && node22; then return 0; fi
  npm ci --no-audit --no-fund --loglevel=error
  # The package `node` fetches its binary in an install script, which an npm that asks first does not run.
  if ! node22; then (cd node_modules/node && node installArchSpecificPackage); fi
  node22
  printf '%s\n' "$wanted" >node_modules/.pins
}

python_parts() {
  local wanted
  wanted=$(digest requirements.in requirements.txt)
  if [ "$(cat .venv/.pins 2>/dev/null)" = "$wanted" ] && .venv/bin/python -c 'import mcp, fastmcp' 2>/dev/null; then
    return 0
  fi
  rm -rf .venv
  python3 -m venv .venv
  # Constraints, not a list: another Python version may need a package more.
  .venv/bin/python -m pip install --quiet --disable-pip-version-check -c requirements.txt -r requirements.in
  .venv/bin/python -m compileall -q .venv/lib >/dev/null 2>&1 || true
  printf '%s\n' "$wanted" >.venv/.pins
}

started=$SECONDS
python_parts &
python_job=$!
node_parts
wait "$python_job"
printf 'foreign parts: node %s, python %s (%d s)\n' \
  "$(node_modules/node/bin/node --version)" "$(.venv/bin/python --version | cut -d' ' -f2)" $((SECONDS - started))
