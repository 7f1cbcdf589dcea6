#!/usr/bin/env bash
# Checks and tests everything; what it needs for that it installs first. The last line is pytest's own.
set -Eeuo pipefail

usage() {
    cat <<'TEXT'
usage: scripts/test.sh [--fast | --slow | --stack] [words for pytest]

Installs Handful and its test tools, then runs ruff, mypy, shellcheck and pytest with coverage.

  --fast    only the tests that start no server: unit and contract, without coverage
  --slow    the slow tests too
  --stack   only the tests of the Compose stack, which need a Docker engine, without coverage
  --help    show this

Other words go to pytest, which then measures no coverage: scripts/test.sh tests/unit/core -k manifest
TEXT
}

# shellcheck source=scripts/lib/install.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/install.sh"

words=()
coverage=yes
while [ $# -gt 0 ]; do
    case $1 in
        -h | --help) usage; exit 0 ;;
        --fast) words+=(-m "unit or contract"); coverage="" ;;
        --slow) words+=(--slow) ;;
        --stack) words+=(tests/stack); coverage="" ;;
        *) words+=("$1"); coverage="" ;;
    esac
    shift
done
if [ -n "$coverage" ]; then words+=(--cov --cov-report=term:skip-covered); fi

install_handful dev
CHROMIUM=${CHROMIUM:-$(install_handful browser)}
export CHROMIUM
cd "$root"
PATH="$root/.venv/bin:$PATH"

checked() { # name, command …
    printf '==> %s\n' "$1"
    shift
    "$@" || fail "$1 found faults, see above: nothing was tested" 1
}
checked ruff ruff check .
checked "ruff format" ruff format --check .
checked mypy mypy
checked shellcheck shellcheck --external-sources scripts/*.sh scripts/lib/*.sh .ci/run

printf '==> pytest\n'
exec pytest ${words[@]+"${words[@]}"}
