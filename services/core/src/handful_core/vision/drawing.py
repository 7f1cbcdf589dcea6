"""Pictures that are sent back: JPEG, with the prediction drawn in."""

from __future__ import annotations

import colorsys
import unicodedata

import cv2
import numpy as np
from numpy.typing import NDArray

from handful_core.errors import HandfulError
from handful_core.package import Manifest
from handful_core.vision.classification import Explanation
from handful_core.vision.decode import Pixels
from handful_core.vision.prediction import Prediction
from handful_core.vision.preprocess import Floats

_QUALITY = 90
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_HEAT = ((64, 221, 255), (0, 128, 255), (54, 0, 214))
"""Blue, green, red from the least evidence to the most; the dashboard's are the same (logic/heatmap.js)."""
_HEAT_OPACITY = 0.6
_STRIP = 256
"""Rows that are coloured at once."""
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
        if prediction.explanation is not None:
            _heat(pixels, prediction.explanation)
        if prediction.top is not None:
            _classify(pixels, prediction, manifest)
    done, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not done:
        raise HandfulError("the picture could not be written as a JPEG", "ask without return_image")
    return bytes(data)


def _classify(pixels: Pixels, prediction: Prediction, manifest: Manifest) -> None:
    """The most probable class in the corner, and below it why not to rely on it."""
    first, probability = prediction.top or (0, 0.0)
    doubts = [(prediction.uncertain, "not certain"), (prediction.out_of_distribution, "unlike the training images")]
    top = 0
    for text in [f"{manifest.classes[first]} {probability:.2f}", *(words for holds, words in doubts if holds)]:
        top = _patch(pixels, 0, top, text, _colour(first))


def _heat(pixels: Pixels, explanation: Explanation) -> None:
    """Lay a class's map over the picture: the more speaks for the class, the redder and the less transparent."""
    height, width = pixels.shape[:2]
    left, top, right, bottom = explanation.box
    covered = slice(max(0, round(left)), max(0, min(width, round(right))))
    first, last = max(0, round(top)), min(height, round(bottom))
    for start in range(first, last, _STRIP):  # All of a large photo's floats at once would take gigabytes.
        strip = pixels[start : min(start + _STRIP, last), covered]
        box = (left - covered.start, top - start, right - covered.start, bottom - start)
        values = _enlarged(explanation.values, box, strip.shape[1], strip.shape[0])
        steps = np.linspace(0, 1, len(_HEAT))
        colours = np.stack([np.interp(values, steps, channel) for channel in zip(*_HEAT, strict=True)], axis=-1)
        share = _HEAT_OPACITY * values[..., None]
        strip[:] = np.rint(strip * (1 - share) + colours * share)


def _enlarged(values: Floats, box: tuple[float, float, float, float], width: int, height: int) -> Floats:
    """A map that covers a box, at each of width by height pixels, interpolated between the middles of its cells."""
    left, top, right, bottom = box
    rows, columns = values.shape
    down = _interpolation((np.arange(height) + 0.5 - top) / (bottom - top) * rows - 0.5, rows)
    across = _interpolation((np.arange(width) + 0.5 - left) / (right - left) * columns - 0.5, columns)
    return np.asarray(down @ values @ across.T, np.float32)


def _interpolation(places: NDArray[np.float64], cells: int) -> NDArray[np.float64]:
    """(places, cells): what each cell adds to the value at a place. Beyond the outermost cells nothing changes."""
    return np.stack([np.interp(places, range(cells), cell) for cell in np.eye(cells)], axis=1)


def _mark(pixels: Pixels, box: list[float], text: str, colour: tuple[int, int, int]) -> None:
    left, top, right, bottom = (round(edge) for edge in box)
    cv2.rectangle(pixels, (left, top), (right, bottom), colour, _thickness(pixels), cv2.LINE_AA)
    line = _size(pixels, text)[1]
    # Above the box, or below its upper edge where there is no room.
    _patch(pixels, left, top - line if top >= line else top, text, colour)


def _patch(pixels: Pixels, left: int, top: int, text: str, colour: tuple[int, int, int]) -> int:
    """Words on a patch; where it ends below."""
    text = _ascii(text)
    width, line = _size(pixels, text)
    base = cv2.getTextSize(text, _FONT, _scale(pixels), 1)[1]
    cv2.rectangle(pixels, (left, top), (left + width, top + line), colour, cv2.FILLED)
    place = (left + 2, top + line - base - 2)
    cv2.putText(pixels, text, place, _FONT, _scale(pixels), (255, 255, 255), 1, cv2.LINE_AA)
    return top + line


def _size(pixels: Pixels, text: str) -> tuple[int, int]:
    """Width and height of the patch that words need."""
    (width, height), base = cv2.getTextSize(_ascii(text), _FONT, _scale(pixels), 1)
    return width + 4, height + base + 4


def _ascii(text: str) -> str:
    """OpenCV's letters have no accents, and are Latin."""
    bare = (letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
    return "".join(bare).encode("ascii", "replace").decode()


def _scale(pixels: Pixels) -> float:
    return _thickness(pixels) / 4


def _thickness(pixels: Pixels) -> int:
    longer: int = max(pixels.shape[:2])
    return max(2, round(longer / 400))


def _colour(class_id: int) -> tuple[int, int, int]:
    """Blue, green, red; always the same for a class."""
    red, green, blue = colorsys.hsv_to_rgb(class_id * _GOLDEN % 1, 0.75, 0.75)
    return round(blue * 255), round(green * 255), round(red * 255)
