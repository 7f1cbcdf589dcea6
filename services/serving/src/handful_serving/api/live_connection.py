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
_IDLE, _TOO_LARGE, _REFUSED = 4000, 1009, 1008
_PATIENCE = 2.0
"""Seconds that a frame may take with its wait: an older one is of no use to anybody."""
_BROKEN = (WebSocketDisconnect, RuntimeError, TimeoutError)
"""What comes up where a connection is gone: Starlette raises the first two."""
_SEND_SECONDS = 10.0
"""A client that takes nothing for so long is given up."""


class LiveConnection:
    """Answers a client's frames.

    Args:
        socket: an accepted connection.
        parts: the application's parts.
        caller: who asks.
        chosen: the model and thresholds to begin with.
        name: what stands in the log and, with the sequence number, in answers.
    """

    def __init__(self, socket: WebSocket, parts: AppState, caller: Caller, chosen: LiveParameters, name: str) -> None:
        self._socket = socket
        self._parts = parts
        self._settings = parts.settings
        self._caller = caller
        self._chosen = chosen
        self._name = name
        self._mailbox: Mailbox[Frame] = Mailbox()
        self._answered = 0
        self._dropped = 0

    async def run(self) -> None:
        """Answer frames until one side ends it."""
        tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._work())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            for ended in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(ended, _BROKEN):
                    _log.debug("a live connection broke: %r", ended)
                elif isinstance(ended, Exception):
                    _log.error("a live connection failed", exc_info=ended)
            _log.info("a live connection ended: %d frames answered, %d dropped", self._answered, self._dropped)

    async def _listen(self) -> None:
        await self._say("ready", **self._greeting())
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
                await self._set(message.get("text") or "")

    async def _put(self, data: bytes) -> None:
        try:
            frame = Frame.parse(data)
        except BadRequestError as error:
            await self._fail(error)
            return
        dropped = self._mailbox.put(frame)
        if dropped is not None:
            self._dropped += 1
            self._parts.metrics.frame("dropped")
            await self._say("dropped", **dropped.echo, dropped=self._dropped)

    async def _set(self, text: str) -> None:
        """Other thresholds or another model, for this connection alone."""
        try:
            given = json.loads(text)
            if not isinstance(given, dict):
                raise BadRequestError("a text message is a JSON object", "see docs/serving.md, Live")
            named = {"model", "version", "alias"} & given.keys()
            kept = self._chosen.model_dump(exclude_unset=True, exclude={"version", "alias"} if named else set())
            chosen = LiveParameters.model_validate(kept | given)
            await self._parts.fleet.find(chosen.wanted)
        except ValidationError as error:
            await self._fail(BadRequestError(describe_validation_error("setting", error.errors()[0])))
        except (ValueError, RecursionError):  # The latter for brackets in brackets, thousands of them.
            await self._fail(BadRequestError("a text message is a JSON object", "see docs/serving.md, Live"))
        except HandfulError as error:
            await self._fail(error)
        else:
            self._chosen = chosen
            await self._say("settings", **self._own_settings())

    async def _work(self) -> None:
        pause = 1 / self._settings.live_fps
        while True:
            frame = await self._mailbox.take()
            started = time.monotonic()
            try:
                self._caller = self._parts.guard.renew(self._caller)
            except UnauthorizedError as error:
                await self._fail(error, frame, fatal=True)
                await self._close(_REFUSED, "the API key was removed")
                return
            await self._answer(frame)
            await asyncio.sleep(max(0.0, pause - (time.monotonic() - started)))

    async def _answer(self, frame: Frame) -> None:
        chosen = self._chosen
        try:
            self._parts.guard.spend(self._caller)
            options = replace(chosen.options, max_pixels=self._settings.live_max_pixels)
            prediction = await self._parts.predictor.predict(
                frame.data, chosen.wanted, options, caller=self._caller.name, seconds=_PATIENCE
            )
        except HandfulError as error:
            await self._fail(error, frame)
            return
        except Exception as error:  # Whatever came up: its client waits for this frame's answer, and goes on.
            _log.exception("a live frame failed with %s", type(error).__name__)
            hint = "the server's log has its trace under this request id"
            await self._fail(HandfulError(f"an unexpected {type(error).__name__}", hint), frame)
            return
        self._answered += 1
        self._parts.metrics.frame("answered")
        answer = prediction_json(prediction, f"{self._name}-{frame.sequence}")
        await self._say("result", **frame.echo, dropped=self._dropped, **answer)

    async def _fail(self, error: HandfulError, frame: Frame | None = None, *, fatal: bool = False) -> None:
        self._parts.metrics.rejected(reject_reason(error))
        if frame is not None:
            self._parts.metrics.frame("failed")
        name = self._name if frame is None else f"{self._name}-{frame.sequence}"
        problem = to_problem(error, self._socket.url.path, name)
        if problem.status >= 500 and reject_reason(error) not in {"overloaded", "deadline", "queue_full"}:
            _log.error("a live frame failed: %s", error)
        echo = frame.echo if frame else {}
        await self._say("error", fatal=fatal, **echo, dropped=self._dropped, problem=problem.model_dump())

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
        return self._chosen.model_dump(mode="json")

    async def _say(self, kind: str, **fields: object) -> None:
        if self._socket.application_state is WebSocketState.CONNECTED:
            async with asyncio.timeout(_SEND_SECONDS):
                await self._socket.send_text(json.dumps({"type": kind, **fields}, separators=(",", ":")))

    async def _close(self, code: int, reason: str) -> None:
        async with asyncio.timeout(_SEND_SECONDS):
            await self._socket.close(code, reason)


PROTOCOL = "handful.v1"
_HEADER = struct.Struct(">Id")


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

    model_config = ConfigDict(frozen=True, extra="ignore")
