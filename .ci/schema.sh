#!/usr/bin/env bash
# Fails when a checked-in file differs from what the code generates. Usage: .ci/schema.sh BINARY
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
binary=$1
cargo xtask generate
git diff --exit-code -- docs/claims.md docs/policy.schema.json
