#!/usr/bin/env bash
# Installs the peers, pinned, below this folder (ignored by git), runs them and writes the tables of docs/peers.md.
# Needs python3 with venv, npm, and a release build of Cofferdam; mcp-proxy takes part where it is on the PATH
# (`cargo install mcp-proxy --version 0.6.0`) or named with --mcp-proxy. Arguments go to peers.py.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

bash install.sh
exec .venv/bin/python peers.py "$@"
