"""Clients that cost little: prepared bytes on a plain socket, so that what is measured is the server.

They share the machine with it: a request costs a client 0.2 to 0.4 ms of a processor, the same for all contenders, and
nothing beside the bare session.
"""

from __future__ import annotations

import socket
import threading
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

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=120)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, request: bytes) -> float:
        """Send a request, read the answer to its end; milliseconds."""
        started = time.perf_counter()
        self._socket.sendall(request)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self._more()
        head, _, body = answer.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(answer[:500].decode(errors="replace"))
        lines = (line.partition(b":") for line in head.lower().split(b"\r\n"))
        length = next(int(value) for name, _, value in lines if name == b"content-length")
        while len(body) < length:
            body += self._more()
        return (time.perf_counter() - started) * 1e3

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def _more(self) -> bytes:
        data = self._socket.recv(65536)
        if not data:
            raise RuntimeError("the server closed the connection")
        return data


def latency(port: int, request: bytes, times: int) -> list[float]:
    """Milliseconds of so many requests, one after another."""
    client = Client(port)
    try:
        return [client.ask(request) for _ in range(times)]
    finally:
        client.close()


def throughput(port: int, request: bytes, clients: int, seconds: float) -> float:
    """Requests a second of so many clients that never pause."""
    counts = [0] * clients
    started = time.perf_counter()

    def ask(number: int) -> None:
        client = Client(port)
        while time.perf_counter() - started < seconds:
            client.ask(request)
            counts[number] += 1
        client.close()

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - started)
