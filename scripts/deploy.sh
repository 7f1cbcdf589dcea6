#!/usr/bin/env bash
# Delivers Handful to a Kubernetes cluster: blue and green, of which one answers.
set -Eeuo pipefail

# shellcheck source=scripts/lib/python.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/python.sh"

handful_script deploy.sh "$@"
