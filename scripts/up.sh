#!/usr/bin/env bash
# Starts the Compose stack; the first time it makes the settings and the secrets.
set -Eeuo pipefail

# shellcheck source=scripts/lib/compose.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/compose.sh"

compose_command up "$@"
