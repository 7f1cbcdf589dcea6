"""A client of the serving API, for commands."""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import Any

import httpx

from handful_core.closing import Closing
from handful_core.connections import SHORT_LIVED
from handful_core.errors import ConfigError, DataError, HandfulError, NotFoundError, UnavailableError


class BusyError(UnavailableError):
    """The server has too much to do, or the key has sent too much.

    Args:
        message: what the server says.
        retry_after: seconds after which another try may succeed.
    """

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ServingClient(Closing):
    """A running serving API.

    Args:
        address: such as http://127.0.0.1:8000.
        timeout: seconds to wait for one response.
        key: an API key, where the server asks for one.

    Every method raises `UnavailableError` when the server does not answer.
    """

    def __init__(self, address: str, timeout: float = 30, key: str | None = None) -> None:
        self.address = address.rstrip("/")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.Client(base_url=self.address, timeout=timeout, headers=headers, limits=SHORT_LIVED)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def readiness(self) -> str:
        """`ready`, or why it is not.

        Raises:
            UnavailableError: something else than serving answers, too.
        """
        response = self._call("GET", "/health/ready")
        _object(response, self.address)
        return "ready" if response.is_success else f"not ready: {_detail(response)}"

    def predict(self, image: Path, **options: str | float | None) -> dict[str, Any]:
        """The answer of POST /predict for an image file.

        Args:
            image: a file.
            options: model, version, alias, confidence, iou, top, explain; None stands for the server's default.

        Raises:
            DataError: the file cannot be read, or the server cannot use it.
            NotFoundError: the server has no such model.
        """
        try:
            content = image.read_bytes()
        except OSError as error:
            raise DataError(f"{image} cannot be read ({error.strerror})", "name an image file") from error
        return self.predict_content(content, str(image), **options)

    def predict_content(self, content: bytes, name: str = "", **options: str | float | None) -> dict[str, Any]:
        """The answer of POST /predict for an image file's content.

        Args:
            content: a whole image file.
            name: what an error calls it.
            options: as those of `predict`.

        Raises:
            DataError: the server cannot use it.
            NotFoundError: the server has no such model.
            BusyError: the server asks for another attempt later.
        """
        params = {key: value for key, value in options.items() if value is not None}
        file = PurePath(name).name or "image"
        response = self._call("POST", "/predict", params=params, files={"image": (file, content)})
        if response.is_error:
            raise _error(response, name or "the image")
        return _object(response, self.address)

    def models(self) -> dict[str, Any]:
        """The answer of GET /models."""
        response = self._call("GET", "/models")
        if response.is_error:
            raise _error(response, self.address)
        return _object(response, self.address)

    def _call(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        try:
            return self._http.request(method, path, **arguments)
        except httpx.TransportError as error:
            reason = str(error) or type(error).__name__
            raise UnavailableError(
                f"the server {self.address} does not answer ({reason})",
                "start it with `handful serve` or set HANDFUL_SERVER",
            ) from error


def _object(response: httpx.Response, address: str) -> dict[str, Any]:
    try:
        content = response.json()
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise UnavailableError(f"{address} answers, but not as Handful does", "set HANDFUL_SERVER to the API's address")
    return content


def _error(response: httpx.Response, what: str) -> HandfulError:
    status = response.status_code
    if status == httpx.codes.UNAUTHORIZED:
        return ConfigError("the server asks for an API key that it knows", "set HANDFUL_API_KEY")
    line = f"{what}: {_detail(response)}"
    if status == httpx.codes.FORBIDDEN or (status == httpx.codes.BAD_REQUEST and "bad-parameter" in response.text):
        return ConfigError(_detail(response))  # Whatever image is sent.
    if status == httpx.codes.NOT_FOUND:
        return NotFoundError(line)
    if (pause := response.headers.get("retry-after", "")).isdigit():
        return BusyError(line, int(pause))
    if status == httpx.codes.INTERNAL_SERVER_ERROR:
        return HandfulError(line)  # This image, not the server.
    if status >= 500:
        return UnavailableError(line)
    return DataError(line)


def _detail(response: httpx.Response) -> str:
    try:
        problem = response.json()
    except ValueError:
        return f"status {response.status_code}, and not as Handful answers"
    return str(problem.get("detail", problem)) if isinstance(problem, dict) else str(problem)
