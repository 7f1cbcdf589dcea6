"""What goes over a live connection. docs/serving.md describes it for clients."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, Self

from pydantic import ConfigDict

from handful_serving.api.parameters import PredictParameters
from handful_serving.domain.errors import BadRequestError

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
