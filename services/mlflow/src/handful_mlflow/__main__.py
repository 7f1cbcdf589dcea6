"""`python -m handful_mlflow JOB`."""

from __future__ import annotations

import sys

from handful_mlflow.bucket import make_bucket
from handful_mlflow.errors import JobError
from handful_mlflow.migrate import migrate
from handful_mlflow.preflight import preflight
from handful_mlflow.server import serve

_JOBS = {"preflight": preflight, "bucket": make_bucket, "migrate": migrate, "serve": serve}


def main(argv: list[str]) -> int:
    """Run the job.

    Returns:
        0, or 1 after one line that says what is wrong, or 2 for an unknown job.
    """
    if len(argv) != 1 or argv[0] not in _JOBS:
        print(f"usage: {' | '.join(_JOBS)}", file=sys.stderr)  # noqa: T201  # The container's log.
        return 2
    try:
        _JOBS[argv[0]]()
    except JobError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201  # The container's log.
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
