"""Clients that cost little: prepared bytes on plain sockets, one thread for all. What is measured is the server.

They share the machine with it: a request costs a client about 0.1 ms of a processor, the same for all contenders, and
nothing beside the bare session.
"""

from __future__ import annotations

import selectors
import socket
import time

_BOUNDARY = "handful-benchmark"


def prepared(image: bytes, path: str = "/predict") -> bytes:
    """A request that sends the image as a form, which all contenders understand."""
    head = (
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n"
    )
    body = head.encode() + image + f"\r\n--{_BOUNDARY}--\r\n".encode()
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary={_BOUNDARY}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


class Client:
    """One connection."""

    def __init__(self, port: int, request: bytes) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=120)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._request = request
        self._answer = b""
        self.heard = 0.0
        """When the last piece of an answer came."""

    def send(self) -> None:
        """Send the request."""
        self._answer = b""
        self.socket.sendall(self._request)

    def receive(self) -> bool:
        """Wait for more of the answer; whether it has come to its end."""
        data = self.socket.recv(65536)
        self.heard = time.perf_counter()
        if not data:
            raise RuntimeError("the server closed the connection")
        self._answer += data
        head, end, body = self._answer.partition(b"\r\n\r\n")
        if not end:
            return False
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(self._answer[:500].decode(errors="replace"))
        lines = (line.partition(b":") for line in head.lower().split(b"\r\n"))
        return len(body) >= next(int(value) for name, _, value in lines if name == b"content-length")

    def ask(self) -> float:
        """Send a request, read the answer to its end; milliseconds."""
        started = time.perf_counter()
        self.send()
        while not self.receive():
            pass
        return (self.heard - started) * 1e3


def latency(port: int, request: bytes, times: int) -> list[float]:
    """Milliseconds of so many requests, one after another."""
    client = Client(port, request)
    try:
        return [client.ask() for _ in range(times)]
    finally:
        client.socket.close()


def throughput(port: int, request: bytes, clients: int, seconds: float) -> float:
    """Requests a second of so many clients that never pause."""
    waiting = selectors.DefaultSelector()
    everyone = [Client(port, request) for _ in range(clients)]
    count, started = 0, time.perf_counter()
    for client in everyone:
        waiting.register(client.socket, selectors.EVENT_READ, client)
        client.send()
    while (took := time.perf_counter() - started) < seconds:
        for key, _ in waiting.select(timeout=seconds):
            if key.data.receive():
                count += 1
                key.data.send()
    for client in everyone:
        client.socket.close()
    waiting.close()
    return count / took
