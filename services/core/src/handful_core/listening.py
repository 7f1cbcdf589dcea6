"""Takes a server's port, before anything is loaded, and leaves the end of the process to uvicorn."""

from __future__ import annotations

import errno
import signal
import socket

from handful_core.errors import ConfigError, ResourceError


def listen(host: str, port: int) -> socket.socket:
    """Take the port. It happens before anything is loaded, so that a port in use is known at once.

    Raises:
        ConfigError: the host is no address.
        ResourceError: the port cannot be used.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror as error:
        raise ConfigError(f"{host} is not an address to listen on ({error.strerror})", "correct --host") from error
    listening = socket.socket(family, kind, protocol)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(address)
    except OSError as error:
        listening.close()
        raise ResourceError(f"port {port} on {host} cannot be used ({error.strerror})", _advice(error, port)) from error
    return listening


def _advice(error: OSError, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"end what listens there (`ss -ltnp 'sport = :{port}'` names it), or choose another with --port"
    if error.errno == errno.EACCES:
        return "choose a port above 1023 with --port"
    return "correct --host and --port"


def leave_signals_to_uvicorn() -> None:
    """Let SIGINT and SIGTERM end the server in good order, with exit status 0.

    uvicorn shuts down on these signals, restores the handlers from before, and raises the signals again. By then
    nothing is left to do: with the default handlers, the process would end with an error.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _do_nothing)


def _do_nothing(*_: object) -> None:
    """A signal handler. Unlike SIG_IGN, child processes do not inherit it."""
