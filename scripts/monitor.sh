#!/usr/bin/env bash
# Starts, checks and stops what watches the Compose stack: the monitor, Prometheus, Alertmanager and Grafana.
set -Eeuo pipefail

# shellcheck source=scripts/lib/python.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/python.sh"

handful_script monitor.sh "$@"
