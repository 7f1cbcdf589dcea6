#!/usr/bin/env bash
# Handful on this machine, without Docker: from drawn images to a served, watched model.
set -Eeuo pipefail

usage() {
    cat <<'TEXT'
usage: scripts/quickstart.sh [options]

Installs Handful into .venv, starts MLflow and the server, draws a sample dataset, trains on it, registers and
serves the model, sends it an image, and stays up until Ctrl-C. Run again, it takes up what is there.

  --exit             end after the check, with status 0 or 1
  --install-only     stop after the installation
  --retrain          train again, though a champion serves already
  --config FILE      the training's configuration (default: configs/sample.yaml)
  --port N           port of the API and the dashboard (default: 8000)
  --mlflow-port N    port of MLflow (default: 5000, or the next free one)
  --debug            show the trace of an error
  --help             show this

HANDFUL_PYTHON=/path/to/python names the Python to use; FILE is looked for from Handful's own folder.
TEXT
}

# shellcheck source=scripts/lib/install.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/install.sh"

install_only=""
words=()
while [ $# -gt 0 ]; do
    case $1 in
        -h | --help) usage; exit 0 ;;
        --install-only) install_only=yes ;;
        --exit | --retrain | --debug) words+=("$1") ;;
        --config | --port | --mlflow-port)
            [ $# -gt 1 ] || fail "$1 needs a value: see scripts/quickstart.sh --help" 2
            words+=("$1" "$2")
            shift
            ;;
        *) fail "unknown option $1: see scripts/quickstart.sh --help" 2 ;;
    esac
    shift
done

install_handful services
if [ -n "$install_only" ]; then exit 0; fi
cd "$root"
exec .venv/bin/handful quickstart ${words[@]+"${words[@]}"}
