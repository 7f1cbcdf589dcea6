#!/usr/bin/env bash
# Starts the API and the dashboard of the Compose stack, with what they need.
set -Eeuo pipefail

# shellcheck source=scripts/lib/python.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/python.sh"

handful_script serve.sh "$@"
