# Small helpers of .ci/run: timed stages, and their sum at the end.

stage_times=()
run_started=$SECONDS

say() { printf '\n== %s\n' "$*"; }

# stage NAME: runs stage_NAME and notes how long it took; its failure ends the run and names the stage.
stage() {
  local name=$1 started=$SECONDS
  say "$name"
  trap 'printf "\n== %s FAILED after %d s\n" "'"$name"'" $((SECONDS - '"$started"'))' ERR EXIT
  "stage_$name"
  trap - ERR EXIT
  stage_times+=("$(printf '%-10s %5d s' "$name" $((SECONDS - started)))")
  printf '== %s done in %d s\n' "$name" $((SECONDS - started))
}

have() { command -v "$1" >/dev/null 2>&1; }

# need_package COMMAND PACKAGE...: installs Debian packages when COMMAND is missing and we may.
need_package() {
  local command=$1
  shift
  if have "$command"; then return 0; fi
  if have apt-get && [ "$(id -u)" = 0 ]; then
    [ -n "${apt_updated:-}" ] || { apt-get update -qq && apt_updated=yes; }
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
  else
    printf 'missing: %s (Debian: %s)\n' "$command" "$*" >&2
    return 1
  fi
}

summary() {
  printf '\n== stage times\n'
  printf '%s\n' "${stage_times[@]}"
  printf '%-10s %5d s\n' all $((SECONDS - run_started))
}
