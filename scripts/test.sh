#!/usr/bin/env bash
# Checks and tests everything; what it needs for that it installs first.
set -Eeuo pipefail

# shellcheck source=scripts/lib/python.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/python.sh"

handful_script test.sh "$@"
