# How the demonstration talks: headings, commands as one would type them with what they print, and checks of both.
# Sourced by `run`; every check that fails ends the demonstration with the step in which it failed.

bold='' green='' red='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
  bold=$'\e[1m' green=$'\e[32m' red=$'\e[31m' plain=$'\e[0m'
fi

step=0

heading() {
  step=$((step + 1))
  printf '\n%s%d. %s%s\n' "$bold" "$step" "$*" "$plain"
}

good() { printf '   %s✓%s %s\n' "$green" "$plain" "$*"; }

fail() {
  printf '\n%sThe demo failed in step %d:%s %s\n' "$red" "$step" "$plain" "$*" >&2
  exit 1
}

# Shows a command as one would type it, runs it and shows what it prints. Its output is in $said.
show() {
  local words=${*@Q}
  words=$(sed -E "s/'([A-Za-z0-9_.:=\/-]+)'/\1/g" <<<"${words//"$PWD/"/}")
  printf '   $ %s\n' "${words//"$programs/"/}"
  local code=0
  said=$("$@" 2>&1) || code=$?
  [ -z "$said" ] || printf '%s\n' "$said" | sed 's/^/   /'
  return "$code"
}

must() { show "$@" || fail "'$*' should have worked"; }

must_say() {
  local expected=$1
  shift
  must "$@"
  grep -qF -- "$expected" <<<"$said" || fail "'$*' should have said '$expected'"
}

# Repeats a command until it works or so many seconds are over.
eventually() {
  local seconds=$1 until=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$until" ] || return 1
    sleep 0.2
  done
}
