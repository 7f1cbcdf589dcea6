#!/usr/bin/env bash
# Stops the Compose stack; its data stays, unless --delete-data is said.
set -Eeuo pipefail

# shellcheck source=scripts/lib/python.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/python.sh"

handful_script down.sh "$@"
