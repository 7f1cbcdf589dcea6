#!/usr/bin/env bash
# Trains in the Compose stack's trainer: takes every option of handful train.
set -Eeuo pipefail

# shellcheck source=scripts/lib/compose.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/compose.sh"

compose_command train "$@"
