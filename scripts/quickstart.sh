#!/usr/bin/env bash
# Handful on this machine, without Docker: from drawn images to a served, watched model.
set -Eeuo pipefail

# shellcheck source=scripts/lib/python.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/python.sh"

handful_script quickstart.sh "$@"
