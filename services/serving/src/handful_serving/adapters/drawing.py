"""Pictures that are sent back: JPEG, with the prediction drawn in."""

from __future__ import annotations

import colorsys

import cv2

from handful_core.errors import HandfulError
from handful_core.package import Manifest
from handful_core.vision.decode import Pixels
from handful_core.vision.prediction import Prediction

_QUALITY = 90
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_GOLDEN = 0.618
"""Steps of this much of the colour wheel keep neighbours apart."""


def draw(pixels: Pixels, prediction: Prediction | None, manifest: Manifest) -> bytes:
    """The picture as a JPEG.

    Args:
        pixels: the image.
        prediction: what is drawn in, if anything.
        manifest: names the classes.
    """
    if prediction is not None:
        pixels = pixels.copy()  # A challenger may still be asked about the same pixels.
        found = prediction.detections
        for box, score, class_id in zip(found.boxes, found.scores, found.classes.tolist(), strict=True):
            _mark(pixels, box.tolist(), f"{manifest.classes[class_id]} {score:.2f}", _colour(class_id))
        if prediction.top is not None:
            first, probability = prediction.top
            _label(pixels, 0, 0, f"{manifest.classes[first]} {probability:.2f}", _colour(first))
    done, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not done:
        raise HandfulError("the picture could not be written as a JPEG", "ask without return_image")
    return bytes(data)


def _mark(pixels: Pixels, box: list[float], text: str, colour: tuple[int, int, int]) -> None:
    left, top, right, bottom = (round(edge) for edge in box)
    cv2.rectangle(pixels, (left, top), (right, bottom), colour, _thickness(pixels), cv2.LINE_AA)
    _label(pixels, left, top, text, colour)


def _label(pixels: Pixels, left: int, top: int, text: str, colour: tuple[int, int, int]) -> None:
    """Words on a patch above the slot, or below it where there is no room."""
    scale = _thickness(pixels) / 4
    (width, height), base = cv2.getTextSize(text, _FONT, scale, 1)
    line = height + base + 4
    top = top - line if top >= line else top
    cv2.rectangle(pixels, (left, top), (left + width + 4, top + line), colour, cv2.FILLED)
    cv2.putText(pixels, text, (left + 2, top + height + 2), _FONT, scale, (255, 255, 255), 1, cv2.LINE_AA)


def _thickness(pixels: Pixels) -> int:
    longer: int = max(pixels.shape[:2])
    return max(2, round(longer / 400))


def _colour(class_id: int) -> tuple[int, int, int]:
    """Blue, green, red; always the same for a class."""
    red, green, blue = colorsys.hsv_to_rgb(class_id * _GOLDEN % 1, 0.75, 0.75)
    return round(blue * 255), round(green * 255), round(red * 255)
