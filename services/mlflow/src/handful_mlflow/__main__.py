"""`python -m handful_mlflow WORD`."""

from __future__ import annotations

import sys

from handful_mlflow.bucket import make_bucket
from handful_mlflow.errors import JobError
from handful_mlflow.migrate import migrate
from handful_mlflow.preflight import preflight
from handful_mlflow.server import serve

_WORDS = {"preflight": preflight, "bucket": make_bucket, "migrate": migrate, "serve": serve}


def main(words: list[str]) -> int:
    """Do what the word says.

    Returns:
        0, or 1 after one line that says what is wrong, or 2 for a word that is none of ours.
    """
    if len(words) != 1 or words[0] not in _WORDS:
        print(f"usage: {' | '.join(_WORDS)}", file=sys.stderr)  # noqa: T201  # The container's log.
        return 2
    try:
        _WORDS[words[0]]()
    except JobError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201  # The container's log.
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
