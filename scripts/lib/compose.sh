# shellcheck shell=bash
# Sourced by the scripts of the Compose stack. What they do is plain Python, in scripts/compose.

# shellcheck source=scripts/lib/install.sh
. "$(dirname "${BASH_SOURCE[0]}")/install.sh"

compose_command() { # up, down, …, its options
    local python
    python=$(find_python) || fail "no Python 3.11, 3.12 or 3.13 works here: install one, \
name it with HANDFUL_PYTHON=/path/to/python, or see 'Without Python' in docs/operations.md" 6
    PYTHONPATH="$root/scripts" PYTHONDONTWRITEBYTECODE=1 exec "$python" -m compose "$@"
}
