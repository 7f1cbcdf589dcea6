"""Tensors of the Open Inference Protocol, as JSON and in its binary extension."""

from __future__ import annotations

import base64
import binascii
import json
import math
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
_INPUTS = "BYTES [images], UINT8 [height, width, 3] or UINT8 [images, height, width, 3]"
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
    images: list[bytes]
    """Image files, at least one."""


def read_request(body: bytes, header: str | None, most: int) -> InferInput:
    """Parse a request.

    Args:
        body: JSON, and behind it binary data if the header says so.
        header: `Inference-Header-Content-Length`: bytes of the JSON.
        most: images that a request may have.

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
        raise BadRequestError(f"there is no input {tensor.name}", f"it is image: {_INPUTS}")
    return InferInput(request, _images(tensor, body[split:], most))


def _images(tensor: Tensor, binary: bytes, most: int) -> list[bytes]:
    """Image files: as they came, or made of pixels."""
    shape = tensor.shape
    is_bytes = tensor.datatype == "BYTES" and (len(shape) == 1 or (len(shape) == 2 and shape[1] == 1))
    is_pixels = tensor.datatype == "UINT8" and len(shape) in {3, 4} and shape[-1] == 3
    if not (is_bytes or is_pixels) or min(shape) < 1:
        raise BadRequestError(f"the input image is {tensor.datatype} {shape}", f"send {_INPUTS}, red first")
    count = 1 if len(shape) == 3 else shape[0]
    if count > most:
        raise BadRequestError(f"the request has {count} images", f"send at most {most}")
    if is_bytes:
        return _elements(tensor, binary, count)
    return [_encoded(pixels) for pixels in _pixels(tensor, binary, math.prod(shape)).reshape(-1, *shape[-3:])]


def _elements(tensor: Tensor, binary: bytes, count: int) -> list[bytes]:
    """The elements of a BYTES tensor: each behind its length, or in JSON as base64."""
    if _BINARY_SIZE in tensor.parameters:
        return _behind_lengths(binary, count)
    data = tensor.data or []
    if len(data) != count or not all(isinstance(text, str) for text in data):
        raise BadRequestError(f"the data of image are not {count} texts", "send each image file as base64")
    try:
        return [base64.b64decode(text, validate=True) for text in data]
    except (binascii.Error, ValueError) as error:
        raise BadRequestError("the data of image is not base64", "encode the image file") from error


def _behind_lengths(binary: bytes, count: int) -> list[bytes]:
    found, start = [], 0
    for _ in range(count):
        head = binary[start : start + _LENGTH.size]
        end = start + _LENGTH.size + (_LENGTH.unpack(head)[0] if len(head) == _LENGTH.size else 0)
        found.append(binary[start + _LENGTH.size : end])
        start = end
    if start != len(binary):
        raise BadRequestError(
            "the binary data of image has not the length that it says",
            "send one element" if count == 1 else f"send {count} elements",
        )
    return found


def _pixels(tensor: Tensor, binary: bytes, size: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    try:
        values = (
            np.frombuffer(binary, np.uint8)
            if _BINARY_SIZE in tensor.parameters
            else np.asarray(tensor.data or [], np.uint8).reshape(-1)
        )
    except (ValueError, TypeError, OverflowError) as error:
        raise BadRequestError(f"the data of image are not UINT8 values ({error})", "send 0 to 255") from error
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
