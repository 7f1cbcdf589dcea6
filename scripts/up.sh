#!/usr/bin/env bash
# Starts the Compose stack; the first time it makes the settings and the secrets.
set -Eeuo pipefail

# shellcheck source=scripts/lib/python.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/python.sh"

handful_script up.sh "$@"
