"""Clients that ask without a pause, on connections that they keep open, and count what came."""

from __future__ import annotations

import http.client
import threading
import time
from dataclasses import dataclass, field
from types import TracebackType
from urllib.parse import urlsplit


@dataclass
class Load:
    """Asks until it is told to end.

    Args:
        address: of the server.
        key: the API key.
        image: what is asked.
        clients: how many ask at a time.
    """

    address: str
    key: str
    image: bytes
    clients: int = 4
    answered: int = 0
    refused: dict[int, int] = field(default_factory=dict)
    """Answers that are no predictions, by HTTP status."""
    broken: list[str] = field(default_factory=list)
    """Requests without an answer."""
    seconds: list[float] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _ended: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    @property
    def failed(self) -> int:
        """All that were not answered with a prediction."""
        return len(self.broken) + sum(self.refused.values())

    @property
    def asked(self) -> int:
        """All requests that have ended."""
        return self.answered + self.failed

    def __enter__(self) -> Load:
        self._threads = [threading.Thread(target=self._ask_on) for _ in range(self.clients)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def reach(self, requests: int, seconds: float = 900) -> None:
        """Wait until so many have ended."""
        end = time.monotonic() + seconds
        while self.asked < requests:
            assert time.monotonic() < end, f"{self.asked} of {requests} requests within {seconds:.0f} s"
            time.sleep(0.2)

    def report(self) -> dict[str, object]:
        """The counts."""
        ordered = sorted(self.seconds) or [0.0]
        return {
            "requests": self.asked,
            "failed": self.failed,
            "refused": self.refused,
            "broken": self.broken[:5],
            "p50_seconds": round(ordered[len(ordered) // 2], 3),
            "p95_seconds": round(ordered[len(ordered) * 95 // 100], 3),
        }

    def _ask_on(self) -> None:
        connection = self._connect()
        while not self._ended.is_set():
            begin = time.monotonic()
            try:
                connection.request("POST", "/predict", self.image, {"Content-Type": "image/png", "X-API-Key": self.key})
                response = connection.getresponse()
                response.read()
                self._count(response.status, time.monotonic() - begin)
            except (OSError, http.client.HTTPException) as error:
                with self._lock:
                    self.broken.append(f"{type(error).__name__}: {error}")
                connection.close()
                connection = self._connect()
        connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(urlsplit(self.address).netloc, timeout=60)

    def _count(self, status: int, seconds: float) -> None:
        with self._lock:
            if status == 200:
                self.answered += 1
                self.seconds.append(seconds)
            else:
                self.refused[status] = self.refused.get(status, 0) + 1
