#!/usr/bin/env bash
# Shows the other scripts in a list to choose from, or runs one by a word.
set -Eeuo pipefail

# shellcheck source=scripts/lib/python.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/python.sh"

handful_script menu.sh "$@"
