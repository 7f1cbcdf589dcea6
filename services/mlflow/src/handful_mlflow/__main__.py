"""`python -m handful_mlflow COMMAND`."""

from __future__ import annotations

import sys

from handful_mlflow.bucket import make_bucket
from handful_mlflow.errors import JobError
from handful_mlflow.migrate import migrate
from handful_mlflow.preflight import preflight
from handful_mlflow.server import serve

_COMMANDS = {"preflight": preflight, "bucket": make_bucket, "migrate": migrate, "serve": serve}


def main(arguments: list[str]) -> int:
    """Run a command.

    Returns:
        0, or 1 after one line that says what is wrong, or 2 for an unknown command.
    """
    if len(arguments) != 1 or arguments[0] not in _COMMANDS:
        print(f"usage: {' | '.join(_COMMANDS)}", file=sys.stderr)  # noqa: T201  # The container's log.
        return 2
    try:
        _COMMANDS[arguments[0]]()
    except JobError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201  # The container's log.
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
