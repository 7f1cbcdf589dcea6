"""Tensors of the Open Inference Protocol, as JSON and in its binary extension."""

from __future__ import annotations

import base64
import binascii
import json
import re
import struct
from dataclasses import dataclass
from typing import Annotated, Any

import cv2
import numpy as np
from pydantic import BaseModel, Field, ValidationError

from handful_serving.api.parameters import describe_validation_error
from handful_serving.errors import BadRequestError

_LENGTH = struct.Struct("<I")
_TYPES = {"FP32": np.float32, "INT64": np.int64}
_BINARY_SIZE = "binary_data_size"
_LENGTH_TEXT = re.compile("[0-9]{1,12}")
_MAX_VALUES = 200_000
"""In JSON. Parsing holds the interpreter's lock, so more would hold up all other requests."""


class Tensor(BaseModel):
    """An input or output."""

    name: str
    shape: list[Annotated[int, Field(le=2**31 - 1)]] = Field(max_length=8)
    datatype: str
    parameters: dict[str, Any] = {}
    data: list[Any] | None = None


class RequestedOutput(BaseModel):
    """An output that the client asks for."""

    name: str
    parameters: dict[str, Any] = {}


class InferRequest(BaseModel):
    """The JSON of an inference request."""

    id: str | None = Field(None, max_length=256)
    parameters: dict[str, Any] = {}
    inputs: list[Tensor] = Field(min_length=1, max_length=1)
    outputs: list[RequestedOutput] | None = Field(None, max_length=16)


@dataclass(frozen=True, slots=True)
class InferInput:
    """An inference request, read."""

    request: InferRequest
    image: bytes
    """An image file."""


def read_request(body: bytes, header: str | None) -> InferInput:
    """Parse a request.

    Args:
        body: JSON, and behind it binary data if the header says so.
        header: `Inference-Header-Content-Length`: bytes of the JSON.

    Raises:
        BadRequestError: it is not what the protocol or the model's input asks for.
    """
    split = len(body) if header is None else int(header) if _LENGTH_TEXT.fullmatch(header) else -1
    if not 0 <= split <= len(body):
        raise BadRequestError("Inference-Header-Content-Length is wrong", "send the JSON's length in bytes")
    if body.count(b",", 0, split) > _MAX_VALUES:
        raise BadRequestError(
            f"the JSON has more than {_MAX_VALUES:,} values",
            "send pixels as binary data, or the image file as BYTES",
        )
    try:
        request = InferRequest.model_validate_json(body[:split])
    except ValidationError as error:
        raise BadRequestError(describe_validation_error("field", error.errors()[0])) from error
    tensor = request.inputs[0]
    if tensor.name != "image":
        raise BadRequestError(f"there is no input {tensor.name}", "it is image: BYTES [1] or UINT8 [height, width, 3]")
    return InferInput(request, _image(tensor, body[split:]))


def _image(tensor: Tensor, binary: bytes) -> bytes:
    """An image file: as it came, or made of pixels."""
    if tensor.datatype == "BYTES" and tensor.shape in ([1], [1, 1]):
        return _element(tensor, binary)
    height, width = tensor.shape[-3:-1] if len(tensor.shape) >= 3 else (0, 0)
    right = tensor.shape in ([height, width, 3], [1, height, width, 3]) and min(height, width) > 0
    if tensor.datatype == "UINT8" and right:
        return _encoded(_pixels(tensor, binary, height * width * 3).reshape(height, width, 3))
    raise BadRequestError(
        f"the input image is {tensor.datatype} {tensor.shape}", "send BYTES [1] or UINT8 [height, width, 3], red first"
    )


def _element(tensor: Tensor, binary: bytes) -> bytes:
    """The one element of a BYTES tensor: behind its length, or in JSON as base64."""
    if _BINARY_SIZE in tensor.parameters:
        if len(binary) < _LENGTH.size or _LENGTH.unpack_from(binary)[0] != len(binary) - _LENGTH.size:
            raise BadRequestError("the binary data of image has not the length that it says", "send one element")
        return binary[_LENGTH.size :]
    if not tensor.data or not isinstance(tensor.data[0], str):
        raise BadRequestError("the input image has no data", "send an image file, in JSON as base64")
    try:
        return base64.b64decode(tensor.data[0], validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadRequestError("the data of image is no base64", "encode the image file") from error


def _pixels(tensor: Tensor, binary: bytes, size: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    try:
        values = (
            np.frombuffer(binary, np.uint8)
            if _BINARY_SIZE in tensor.parameters
            else np.asarray(tensor.data or [], np.uint8).reshape(-1)
        )
    except (ValueError, TypeError, OverflowError) as error:
        raise BadRequestError(f"the data of image are no UINT8 values ({error})", "send 0 to 255") from error
    if values.size != size:
        raise BadRequestError(f"image has {values.size} values, its shape asks for {size}", "correct the shape")
    return values


def _encoded(pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> bytes:
    """The same pixels as a file, so that they go through the same limits and the same face blurring as all images."""
    return bytes(cv2.imencode(".bmp", np.ascontiguousarray(pixels[:, :, ::-1]))[1])


def write_response(
    fields: dict[str, Any], outputs: dict[str, np.ndarray[Any, Any]], request: InferRequest
) -> tuple[bytes, int | None]:
    """An inference response.

    Returns:
        the body, and the length of its JSON if binary data follow.

    Raises:
        BadRequestError: an output is asked for that there is not.
    """
    all_binary = bool(request.parameters.get("binary_data_output"))
    requested = request.outputs or [RequestedOutput(name=name) for name in outputs]
    tensors, tail = [], b""
    for output in requested:
        if output.name not in outputs:
            raise BadRequestError(f"there is no output {output.name}", f"there is {', '.join(outputs)}")
        values = outputs[output.name]
        datatype = next(name for name, kind in _TYPES.items() if values.dtype == kind)
        entry: dict[str, Any] = {"name": output.name, "datatype": datatype, "shape": list(values.shape)}
        if output.parameters.get("binary_data", all_binary):
            entry["parameters"] = {_BINARY_SIZE: values.nbytes}
            tail += values.tobytes()
        else:
            entry["data"] = values.reshape(-1).tolist()
        tensors.append(entry)
    head = json.dumps(fields | {"outputs": tensors}).encode()
    return head + tail, len(head) if tail else None
