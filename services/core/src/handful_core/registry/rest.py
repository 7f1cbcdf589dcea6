"""HTTP to an MLflow server: what it answers, or a `HandfulError` that says why not."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import update_wrapper
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

import httpx

from handful_core.connections import SHORT_LIVED
from handful_core.errors import ConfigError, HandfulError, NotFoundError, UnavailableError, redact_credentials
from handful_core.package.errors import DamagedPackageError
from handful_core.registry.login import MlflowLogin
from handful_core.retrying import is_transient_status, retrying

_PAGE = 1000
_CHUNK = 1 << 20
_MAX_RESPONSE_BYTES = 256 << 20
_MAX_TIMEOUTS = 3
"""A whole response may take this many times as long as one piece of it: httpx's timeout bounds each piece alone."""


API = "/api/2.0/mlflow"

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")
_Client = TypeVar("_Client", bound="_HasAddress")


class _HasAddress(Protocol):
    @property
    def uri(self) -> str: ...


class NotMlflowError(UnavailableError):
    """Something answers at the address, but not as MLflow does."""

    def __init__(self, uri: str) -> None:
        super().__init__(f"{uri} answers, but not as MLflow does", "set HANDFUL_MLFLOW_URI to MLflow's address")


def parses_responses(
    read: Callable[Concatenate[_Client, _Arguments], _Result],
) -> Callable[Concatenate[_Client, _Arguments], _Result]:
    """Let a method raise `NotMlflowError` where a response lacks what MLflow's always have.

    What it gives must be complete: an iterator would fail later, outside of it.
    """

    def checked(client: _Client, /, *args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        try:
            return read(client, *args, **kwargs)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise NotMlflowError(client.uri) from error

    update_wrapper(checked, read)
    return checked


def bounded(chunks: Iterable[bytes], limit: int, what: str) -> Iterator[bytes]:
    """The same chunks, as long as they have no more than `limit` bytes.

    Raises:
        DamagedPackageError: there are more.
    """
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > limit:
            raise DamagedPackageError(f"{what} is larger than the {limit} bytes that may still come")
        yield chunk


class _TransientError(UnavailableError):
    """The server did not answer or answered with a passing fault: worth another try."""


class Download:
    """A file's bytes on their way.

    Args:
        chunks: as the network brings them.
    """

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    def read(self, size: int = -1, /) -> bytes:
        """At most this many of the next bytes, or all for a negative number; none at the end."""
        if size < 0:
            rest, self._rest = self._rest, b""
            return rest + b"".join(self._chunks)
        if not self._rest:
            self._rest = next(self._chunks, b"")
        head, self._rest = self._rest[:size], self._rest[size:]
        return head


class Rest:
    """MLflow's REST API at `uri`.

    Args:
        uri: the server's address.
        timeout: seconds to wait for one answer.
        attempts: how often a question is asked before the server counts as away.
        transport: another transport than the network, for tests.

    Raises:
        ConfigError: `uri` is no address.
    """

    def __init__(self, uri: str, timeout: float, attempts: int, transport: httpx.BaseTransport | None) -> None:
        self.uri = redact_credentials(uri.rstrip("/"))
        """The server's address, without a password."""
        self._timeout = timeout
        self._retrying = retrying(
            lambda error: isinstance(error, _TransientError), attempts=attempts, first_pause=0.2, longest_pause=2
        )
        try:
            # A login in the address counts more than one in a file.
            auth = None if httpx.URL(uri).userinfo else MlflowLogin()
            self._http = httpx.Client(
                base_url=uri.rstrip("/"), timeout=timeout, transport=transport, auth=auth, limits=SHORT_LIVED
            )
        except httpx.InvalidURL as error:
            raise ConfigError(
                f"{self.uri!r} is not the address of an MLflow server ({error})",
                "write one such as http://127.0.0.1:5000",
            ) from error

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def get(self, path: str, query: Mapping[str, str | list[str]]) -> dict[str, Any]:
        """Ask; again if the server has a passing fault."""
        return self._retrying(self._call, "GET", path, params=dict(query))

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Change something; once."""
        return self._call("POST", path, json=dict(body))

    def send(self, method: str, path: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        """Do something that may be done twice; again if the server has a passing fault."""
        return self._retrying(self._call, method, path, json=body)

    def pages(self, path: str, key: str, query: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        """All entries of a list that comes in pages."""
        return self._pages(key, lambda page: self.get(path, {**query, "max_results": str(_PAGE), **page}))

    def search(self, path: str, key: str, body: Mapping[str, Any], page: int = _PAGE) -> Iterator[dict[str, Any]]:
        """All entries of a list that is asked for with POST, in pages of this many."""
        return self._pages(key, lambda more: self.send("POST", path, {**body, "max_results": page, **more}))

    def _pages(self, key: str, ask: Callable[[dict[str, str]], dict[str, Any]]) -> Iterator[dict[str, Any]]:
        token = ""
        while True:
            page = ask({"page_token": token} if token else {})
            yield from page.get(key, ())
            token = page.get("next_page_token", "")
            if not token:
                return

    @contextmanager
    def open(self, path: str) -> Iterator[Download]:
        """Fetch a file bit by bit.

        Raises:
            FileNotFoundError: the server has no such file.
        """
        with self._stream(path, if_missing=FileNotFoundError(path)) as chunks:
            yield Download(chunks)

    def upload(self, path: str, content: Iterator[bytes], size: int) -> None:
        """Send a file of this many bytes."""
        self._response("PUT", path, content=content, headers={"Content-Length": str(size)})

    def remove(self, path: str) -> None:
        """Delete a file or folder; nothing happens if it is not there."""
        try:
            self._retrying(self._response, "DELETE", path)
        except NotFoundError:
            return

    def header(self, path: str, name: str) -> str:
        """A header of an answer, whatever else it says; empty without one."""
        return str(self._response("GET", path).headers.get(name, ""))

    def download(self, path: str, target: Path, limit: int) -> int:
        """Fetch a file of at most `limit` bytes; its size.

        Raises:
            DamagedPackageError: it is larger.
        """
        size = 0
        with self._stream(path) as chunks, target.open("wb") as file:
            for chunk in bounded(chunks, limit, path):
                size += file.write(chunk)
        return size

    @contextmanager
    def _stream(self, path: str, if_missing: Exception | None = None) -> Iterator[Iterator[bytes]]:
        """A file as the network brings it.

        Args:
            path: its address.
            if_missing: raised where the server says 404; what its answer tells, if this is not given.
        """
        try:
            with self._http.stream("GET", path) as response:
                if if_missing is not None and response.status_code == httpx.codes.NOT_FOUND:
                    raise if_missing
                if response.is_error:
                    response.read()
                    raise self._failure(response)
                yield response.iter_bytes(_CHUNK)
        except httpx.RequestError as error:
            raise self._unreachable(error) from error

    def _response(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        try:
            with self._http.stream(method, path, **arguments) as stream:
                response = self._read(stream)
        except httpx.RequestError as error:
            raise self._unreachable(error) from error
        if response.is_error:
            raise self._failure(response)
        return response

    def _read(self, response: httpx.Response) -> httpx.Response:
        """All of a response, within bounds on its size and on the time it takes."""
        until = time.monotonic() + _MAX_TIMEOUTS * self._timeout
        pieces, size = [], 0
        for piece in response.iter_bytes():
            pieces.append(piece)
            size += len(piece)
            if size > _MAX_RESPONSE_BYTES or time.monotonic() > until:
                raise httpx.ReadTimeout(f"{size} bytes came, and the answer did not end", request=response.request)
        date = {"date": response.headers["date"]} if "date" in response.headers else {}
        return httpx.Response(response.status_code, headers=date, content=b"".join(pieces), request=response.request)

    def _call(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        response = self._response(method, path, **arguments)
        try:
            body: Any = response.json()
        except (ValueError, RecursionError) as error:
            raise NotMlflowError(self.uri) from error
        if not isinstance(body, dict):
            raise NotMlflowError(self.uri)
        return body

    def _unreachable(self, error: httpx.RequestError) -> UnavailableError:
        reason = str(error) or type(error).__name__
        return _TransientError(
            f"MLflow at {self.uri} does not answer ({reason})",
            "start it (scripts/serve --embedded), or set HANDFUL_MLFLOW_URI to where it runs",
        )

    def _failure(self, response: httpx.Response) -> HandfulError:
        code, message = _error_of(response)
        if code == "RESOURCE_DOES_NOT_EXIST":
            return NotFoundError(message, "list what there is with: handful models")
        if is_transient_status(response.status_code):
            return _TransientError(
                f"MLflow at {self.uri} failed with status {response.status_code} ({message})", "look into its log"
            )
        if response.status_code == httpx.codes.UNAUTHORIZED:
            return UnavailableError(
                f"MLflow at {self.uri} refuses access with status 401: it asks for a password",
                "write it into ~/.mlflow/credentials, or set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
            )
        if response.status_code == httpx.codes.FORBIDDEN:
            return UnavailableError(
                f"MLflow at {self.uri} refuses access with status {response.status_code} ({message})",
                "check its credentials and MLFLOW_SERVER_ALLOWED_HOSTS",
            )
        if not code:
            return NotMlflowError(self.uri)
        return HandfulError(f"MLflow refused the request with status {response.status_code} ({message})")


def _error_of(response: httpx.Response) -> tuple[str, str]:
    """MLflow's error code and message."""
    try:
        body = response.json()
    except (ValueError, RecursionError):
        return "", response.text[:200]
    if not isinstance(body, dict):
        return "", str(body)[:200]
    return str(body.get("error_code", "")), str(body.get("message", ""))
