#!/usr/bin/env bash
# Runs the pipeline of dvc.yaml with DVC, which it installs into an environment of its own.
set -Eeuo pipefail

# shellcheck source=scripts/lib/python.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/python.sh"

handful_script pipeline.sh "$@"
