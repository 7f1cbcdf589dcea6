#!/usr/bin/env bash
# Trains in the Compose stack's trainer: takes every option of handful train.
set -Eeuo pipefail

# shellcheck source=scripts/lib/python.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/python.sh"

handful_script train.sh "$@"
