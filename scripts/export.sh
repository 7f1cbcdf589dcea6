#!/usr/bin/env bash
# Backs up MLflow with the Compose stack's backup tool.
set -Eeuo pipefail

# shellcheck source=scripts/lib/python.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/python.sh"

handful_script export.sh "$@"
