"""A small process that outlives a killed training and marks its run, which nobody else could.

It reads from its standard input: first MLflow's address, which may hold a password and so is nothing for `ps`; then
what the training last said of itself. When that ends, so has the training: by its own word (`done`), or the run gets
the last status that was written, KILLED if there was none.
"""

from __future__ import annotations

import subprocess
import sys
from types import TracebackType
from typing import IO, Self

import httpx
from tenacity import RetryError, Retrying, retry_if_exception_type, stop_after_delay, wait_exponential

from handful_core.processes import NEW_PROCESS_GROUP

_DONE = "done"
_GIVE_UP_SECONDS = 900


class RunReaper:
    """Starts the process, and tells it how the training ends.

    Args:
        uri: MLflow's address.
        run_id: the run to mark.
    """

    def __init__(self, uri: str, run_id: str) -> None:
        # A session of its own: Ctrl-C at the terminal is for the training, not for its witness.
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, run_id],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            **NEW_PROCESS_GROUP,
        )
        self._say(uri)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pipe and not self._pipe.closed:
            self._pipe.close()

    def done(self) -> None:
        """The run is marked already."""
        self.status(_DONE)
        if self._pipe:
            self._pipe.close()
        self._process.wait()

    def status(self, status: str) -> None:
        """The run should get this status, but MLflow was not told yet."""
        self._say(status)

    def _say(self, line: str) -> None:
        if self._pipe and self._process.poll() is None:
            self._pipe.write(line + "\n")
            self._pipe.flush()

    @property
    def _pipe(self) -> IO[str] | None:
        return self._process.stdin


def watch(uri: str, run_id: str, words: IO[str]) -> None:
    """Wait for the training's end and mark the run if need be, for as long as MLflow needs to come back."""
    said = [line.strip() for line in words if line.strip()]
    last = said[-1] if said else "KILLED"
    if last == _DONE:
        return
    tries = Retrying(
        retry=retry_if_exception_type(httpx.HTTPError),
        wait=wait_exponential(multiplier=0.5, max=30),
        stop=stop_after_delay(_GIVE_UP_SECONDS),
    )
    tries(_mark, uri, run_id, last)


def _mark(uri: str, run_id: str, status: str) -> None:
    response = httpx.post(f"{uri.rstrip('/')}/api/2.0/mlflow/runs/update", json={"run_id": run_id, "status": status})
    response.raise_for_status()


if __name__ == "__main__":
    try:
        watch(sys.stdin.readline().strip(), sys.argv[1], sys.stdin)
    except RetryError:
        sys.exit(1)
