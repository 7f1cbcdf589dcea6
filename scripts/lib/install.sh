# shellcheck shell=bash
# Sourced by the scripts. Finds a Python that fits and runs the installer with it (scripts/installer, plain Python).
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
    return 1
}

install_handful() { # services, dev, tools or browser
    local python
    python=$(find_python) || fail "no Python 3.11, 3.12 or 3.13 works here: install one \
(Debian, Ubuntu: apt-get install python3 python3-venv; macOS: brew install python@3.13) \
or name it with HANDFUL_PYTHON=/path/to/python" 6
    PYTHONPATH="$root/scripts" PYTHONDONTWRITEBYTECODE=1 "$python" -m installer "$1"
}
