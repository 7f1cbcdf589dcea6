"""An image as a Python program has it: a file's path or content, an array, a PIL image."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from handful_core.errors import DataError
from handful_core.vision.decode import MAX_PIXELS, ImageError, ImageTooLargeError, Pixels, decode_image
from handful_core.vision.pillow_images import PILLOW_ERRORS, pixels_of

ImageInput: TypeAlias = str | os.PathLike[str] | bytes | bytearray | memoryview | NDArray[np.uint8] | Image.Image
"""What stands for an image: the path of a file, a file's content, an array (see `to_pixels`), or a PIL image."""
ChannelOrder: TypeAlias = Literal["rgb", "bgr"]
"""The order of an array's colours: `rgb` as Pillow, matplotlib and scikit-image have it, `bgr` as OpenCV has it."""

_KINDS = "pass a path, a file's bytes, a numpy array or a PIL image"
_SHAPES = "pass (height, width, 3), or (height, width) for grey"


def to_pixels(image: ImageInput, channel_order: ChannelOrder = "rgb") -> Pixels:
    """The pixels of an image, whatever form it comes in.

    Args:
        image: an array is uint8, 0 to 255, and (height, width), (height, width, 1), (height, width, 3) or, with an
            alpha channel that is dropped, (height, width, 4). A PIL image is turned upright by its EXIF orientation.
        channel_order: of an array; everything else says itself what it is.

    Returns:
        (height, width, 3) uint8, BGR, upright.

    Raises:
        DataError: it is none of these, or damaged; the line names the file.
    """
    if isinstance(image, np.ndarray):
        return _of_array(image, channel_order)
    if isinstance(image, Image.Image):
        return _of_pillow(image)
    name, content = to_file(image)
    try:
        return decode_image(content)
    except DataError as error:
        raise type(error)(f"{name}: {error.message}" if name else error.message, error.hint) from error


def to_file(image: ImageInput, channel_order: ChannelOrder = "rgb") -> tuple[str, bytes]:
    """The name and content of an image file: the file itself, or a PNG of the pixels, which loses nothing.

    Args:
        image: see `to_pixels`.
        channel_order: of an array.

    Returns:
        The name is empty where the image has none.

    Raises:
        DataError: it is no image, or the file cannot be read.
    """
    if isinstance(image, bytes | bytearray | memoryview):
        return "", bytes(image)
    if isinstance(image, str | os.PathLike):
        return os.fspath(image), _read(os.fspath(image))
    if isinstance(image, np.ndarray | Image.Image):
        return "", bytes(cv2.imencode(".png", to_pixels(image, channel_order))[1])
    raise ImageError(f"a {type(image).__name__} is not an image that is read here", _KINDS)


def _read(path: str) -> bytes:
    if "://" in path:
        raise ImageError(f"{path} is an address, not a file", "download it, and pass its bytes")
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ImageError(f"{path} cannot be read ({error.strerror})", "name an image file") from error
    except ValueError as error:  # A zero byte.
        raise ImageError(f"{path!r} is not a path ({error})", _KINDS) from error


def _of_array(array: NDArray[np.uint8], channel_order: ChannelOrder) -> Pixels:
    if channel_order not in {"rgb", "bgr"}:
        raise DataError(f"channel_order {channel_order!r} is neither 'rgb' nor 'bgr'", "choose one of them")
    if array.dtype != np.uint8:
        hint = "pass uint8 with values from 0 to 255: (image * 255).round().astype('uint8') for values from 0 to 1"
        raise ImageError(f"the array holds {array.dtype}, not uint8", hint)
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.ndim not in {2, 3} or channels not in {1, 3, 4}:
        turned = array.ndim == 3 and array.shape[0] in {1, 3, 4}
        raise ImageError(
            f"an array of shape {array.shape} is not one image",
            "move the colours last: image.transpose(1, 2, 0)" if turned else _SHAPES,
        )
    _check_size(array.shape[1], array.shape[0])
    planes = array[..., None] if array.ndim == 2 else array
    colours = np.repeat(planes, 3, axis=2) if channels == 1 else planes[..., :3]
    return np.ascontiguousarray(colours if channel_order == "bgr" else colours[..., ::-1])


def _of_pillow(image: Image.Image) -> Pixels:
    _check_size(image.width, image.height)
    try:
        return pixels_of(image)
    except PILLOW_ERRORS as error:
        raise ImageError(f"the PIL image cannot be read ({error})", "pass an 8-bit RGB image") from error


def _check_size(width: int, height: int) -> None:
    if width * height == 0:
        raise ImageError(f"the image is empty ({width} x {height} pixels)", "pass an image with pixels")
    if width * height > MAX_PIXELS:
        raise ImageTooLargeError(
            f"the image has {width * height / 1e6:.0f} megapixels, {MAX_PIXELS / 1e6:.0f} are allowed",
            "make it smaller",
        )
