"""One live connection: its own model and thresholds, a mailbox for one frame, one frame in work."""

from __future__ import annotations

import asyncio
import json
import logging
import struct
import time
from dataclasses import dataclass, replace
from typing import Any, Self

from pydantic import ConfigDict, ValidationError
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from handful_core.errors import HandfulError
from handful_serving.api.errors import reject_reason, to_problem
from handful_serving.api.parameters import PredictParameters, describe_validation_error
from handful_serving.api.schemas import prediction_json
from handful_serving.api.state import AppState
from handful_serving.concurrency.mailbox import Mailbox
from handful_serving.domain.auth import Caller
from handful_serving.errors import BadRequestError, UnauthorizedError

_log = logging.getLogger("handful_serving.live")
PROTOCOL = "handful.v1"
_HEADER = struct.Struct(">Id")
_IDLE, _TOO_LARGE, _REFUSED = 4000, 1009, 1008
_DEADLINE = 2.0
"""Seconds that a frame may take, with its wait. Older predictions are of no use to a live view."""
_DISCONNECTED = (WebSocketDisconnect, RuntimeError, TimeoutError)
"""How a lost connection shows: Starlette raises the first two, our own timeouts the third."""
_SEND_SECONDS = 10.0
"""A client that reads nothing for so long is disconnected."""


class LiveConnection:
    """Answers a client's frames.

    Args:
        socket: an accepted connection.
        state: the application's state.
        caller: the client.
        parameters: the model and thresholds to begin with.
        name: the request id of this connection; with a sequence number, of a frame.
    """

    def __init__(
        self, socket: WebSocket, state: AppState, caller: Caller, parameters: LiveParameters, name: str
    ) -> None:
        self._socket = socket
        self._state = state
        self._settings = state.settings
        self._caller = caller
        self._parameters = parameters
        self._name = name
        self._mailbox: Mailbox[Frame] = Mailbox()
        self._answered = 0
        self._dropped = 0

    async def run(self) -> None:
        """Answer frames until one side ends it."""
        # Two tasks with the mailbox between them: while a frame is predicted, a newer one replaces the one that waits.
        tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._predict_frames())]
        try:
            # Either may end the connection: the client by leaving, the worker by a key that was removed.
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            for ended in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(ended, _DISCONNECTED):
                    _log.debug("a live connection broke: %r", ended)
                elif isinstance(ended, Exception):
                    _log.error("a live connection failed", exc_info=ended)
            _log.info("a live connection ended: %d frames answered, %d dropped", self._answered, self._dropped)

    async def _listen(self) -> None:
        await self._send("ready", **self._greeting())
        while True:
            try:
                async with asyncio.timeout(self._settings.live_idle_seconds):
                    message = await self._socket.receive()
            except TimeoutError:
                await self._close(_IDLE, "nothing was sent for too long")
                return
            if message["type"] == "websocket.disconnect":
                return
            if (data := message.get("bytes")) is not None:
                if len(data) > self._settings.live_frame_bytes:
                    await self._close(_TOO_LARGE, f"a frame has at most {self._settings.live_frame_bytes} bytes")
                    return
                await self._put(data)
            else:
                await self._update(message.get("text") or "")

    async def _put(self, data: bytes) -> None:
        try:
            frame = Frame.parse(data)
        except BadRequestError as error:
            await self._send_problem(error)
            return
        dropped = self._mailbox.put(frame)
        if dropped is not None:
            self._dropped += 1
            self._state.metrics.frame("dropped")
            await self._send("dropped", **dropped.echo, dropped=self._dropped)

    async def _update(self, text: str) -> None:
        """Other thresholds or another model, for this connection alone."""
        try:
            changes = json.loads(text)
            if not isinstance(changes, dict):
                raise BadRequestError("a text message is a JSON object", "see docs/serving.md, Live")
            # Another model, version or alias replaces what was pinned before: the two cannot go together.
            named = {"model", "version", "alias"} & changes.keys()
            kept = self._parameters.model_dump(exclude_unset=True, exclude={"version", "alias"} if named else set())
            wanted = {name: value for name, value in (kept | changes).items() if value is not None}
            parameters = LiveParameters.model_validate(wanted)
            await self._state.manager.find(parameters.ref)
        except ValidationError as error:
            await self._send_problem(BadRequestError(_wrong_setting(error)))
        except (ValueError, RecursionError):  # RecursionError: thousands of nested brackets.
            await self._send_problem(BadRequestError("a text message is a JSON object", "see docs/serving.md, Live"))
        except HandfulError as error:
            await self._send_problem(error)
        else:
            self._parameters = parameters
            await self._send("settings", **self._own_settings())

    async def _predict_frames(self) -> None:
        pause = 1 / self._settings.live_fps
        while True:
            frame = await self._mailbox.take()
            started = time.monotonic()
            try:
                self._caller = self._state.authenticator.refresh(self._caller)
            except UnauthorizedError as error:
                await self._send_problem(error, frame, fatal=True)
                await self._close(_REFUSED, "the API key was removed")
                return
            await self._predict(frame)
            # The rest of this frame's share of a second. Newer frames replace each other in the mailbox meanwhile.
            await asyncio.sleep(max(0.0, pause - (time.monotonic() - started)))

    async def _predict(self, frame: Frame) -> None:
        parameters = self._parameters
        try:
            self._state.rate_limiter.consume(self._caller)
            options = replace(parameters.options, max_pixels=self._settings.live_max_pixels)
            result = await self._state.predictor.predict(
                frame.data, parameters.ref, options, caller=self._caller.name, deadline=_DEADLINE
            )
        except HandfulError as error:
            await self._send_problem(error, frame)
            return
        except Exception as error:  # The client waits for an answer to this frame, and sends more.
            _log.exception("a live frame failed with %s", type(error).__name__)
            hint = "the server's log has its trace under this request id"
            await self._send_problem(HandfulError(f"an unexpected {type(error).__name__}", hint), frame)
            return
        self._answered += 1
        self._state.metrics.frame("answered")
        content = prediction_json(result, f"{self._name}-{frame.sequence}", parameters.top)
        await self._send("result", **frame.echo, dropped=self._dropped, **content)

    async def _send_problem(self, error: HandfulError, frame: Frame | None = None, *, fatal: bool = False) -> None:
        self._state.metrics.rejected(reject_reason(error))
        if frame is not None:
            self._state.metrics.frame("failed")
        name = self._name if frame is None else f"{self._name}-{frame.sequence}"
        problem = to_problem(error, self._socket.url.path, name)
        if problem.status >= 500 and reject_reason(error) not in {"overloaded", "deadline", "queue_full"}:
            _log.error("a live frame failed: %s", error)
        echo = frame.echo if frame else {}
        await self._send("error", fatal=fatal, **echo, dropped=self._dropped, problem=problem.model_dump())

    def _greeting(self) -> dict[str, object]:
        settings = self._settings
        return {
            "protocol": 1,
            "limits": {
                "frame_bytes": settings.live_frame_bytes,
                "pixels": settings.live_max_pixels,
                "fps": settings.live_fps,
                "idle_seconds": settings.live_idle_seconds,
            },
            "settings": self._own_settings(),
        }

    def _own_settings(self) -> dict[str, object]:
        return self._parameters.model_dump(mode="json")

    async def _send(self, kind: str, **fields: object) -> None:
        if self._socket.application_state is WebSocketState.CONNECTED:
            async with asyncio.timeout(_SEND_SECONDS):
                await self._socket.send_text(json.dumps({"type": kind, **fields}, separators=(",", ":")))

    async def _close(self, code: int, reason: str) -> None:
        async with asyncio.timeout(_SEND_SECONDS):
            await self._socket.close(code, reason)


@dataclass(frozen=True, slots=True)
class Frame:
    """A binary message: sequence number (uint32), time of capture (float64), both big endian, then an image file."""

    sequence: int
    captured: float
    """Whatever the client's clock says; it is sent back as it came."""
    data: bytes

    @classmethod
    def parse(cls, message: bytes) -> Self:
        """Read a message.

        Raises:
            BadRequestError: it is too short to be one.
        """
        if len(message) <= _HEADER.size:
            raise BadRequestError(
                f"a frame has a header of {_HEADER.size} bytes and an image", "see docs/serving.md, Live"
            )
        sequence, captured = _HEADER.unpack_from(message)
        return cls(sequence, captured if captured == captured else 0.0, message[_HEADER.size :])  # noqa: PLR0124  # NaN.

    @property
    def echo(self) -> dict[str, Any]:
        """What every answer repeats."""
        finite = abs(self.captured) != float("inf")
        return {"sequence": self.sequence, "captured": self.captured if finite else 0.0}


class LiveParameters(PredictParameters):
    """What a client may set for its own connection, when it connects or later."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _wrong_setting(error: ValidationError) -> str:
    return describe_validation_error("setting", error.errors()[0], LiveParameters.model_fields)
