#!/usr/bin/env bash
# Walks through both tasks, step by step.
set -Eeuo pipefail

# shellcheck source=scripts/lib/python.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/python.sh"

handful_script demo.sh "$@"
