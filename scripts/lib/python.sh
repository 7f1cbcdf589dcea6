# shellcheck shell=bash
# Sourced by the scripts. Finds a Python that fits; what the scripts do is Python's (scripts/run.py, scripts/installer).
# Written for bash 3.2, which macOS has.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

fail() { # the line, the exit code
    printf 'error: %s\n' "$1" >&2
    exit "$2"
}

# Each candidate is run, not only looked up: a pyenv shim is there for versions that do not work. One that can make
# a virtual environment is preferred; of the others the installer tells what they lack.
find_python() {
    local needs candidate
    for needs in "import ensurepip" "pass"; do
        for candidate in ${HANDFUL_PYTHON:+"$HANDFUL_PYTHON"} \
            "$root/.venv/bin/python" python3.13 python3.12 python3.11 python3 python; do
            if "$candidate" -c "import sys; assert (3, 11) <= sys.version_info < (3, 14); $needs" >/dev/null 2>&1; then
                printf '%s\n' "$candidate"
                return
            fi
        done
    done
    fail "no Python 3.11, 3.12 or 3.13 works here: install one (Debian, Ubuntu: apt-get install python3 python3-venv; \
macOS: brew install python@3.13) or name it with HANDFUL_PYTHON=/path/to/python" 6
}

handful_script() { # its file name, its options
    local python
    python=$(find_python)
    exec "$python" -B "$root/scripts/run.py" "$@"
}

install_handful() { # services, dev or tools
    local python
    python=$(find_python)
    PYTHONPATH="$root/scripts" PYTHONDONTWRITEBYTECODE=1 "$python" -m installer "$1"
}
