"""A line to a server of this machine that breaks after so many bytes: to its client, the server is gone."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

_CHUNK = 1 << 16


class Line:
    """Passes connections on until it breaks; afterwards it refuses them.

    What was sent last may have been done without its answer coming back, as when a network fails.

    Args:
        port: the server's, on 127.0.0.1.
        bytes_: that the client can send in all.
    """

    def __init__(self, port: int, bytes_: int) -> None:
        self._target = port
        self._left = bytes_
        self._lock = threading.Lock()
        self._ends: list[socket.socket] = []
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._door.getsockname()[1]
        self.broken = False

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, name="line", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _accept(self) -> None:
        with suppress(OSError):  # The door was closed.
            while True:
                client, _ = self._door.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                self._ends += [client, server]
                for source, sink, counts in ((client, server, True), (server, client, False)):
                    threading.Thread(target=self._pass, args=(source, sink, counts), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, counts: bool) -> None:
        with suppress(OSError):  # The other side has ended, or the line is broken.
            while data := source.recv(_CHUNK):
                if counts and not self._take(len(data)):
                    return
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def _take(self, count: int) -> bool:
        with self._lock:
            self._left -= count
            if self._left >= 0:
                return True
            self.broken = True
        self._end()
        return False

    def _end(self) -> None:
        for end in [self._door, *self._ends]:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
