"""Pascal VOC's XML files."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree as ET

from handful_trainer.dataset.errors import AnnotationError, DamagedFileError
from handful_trainer.dataset.sources.base import RawBox
from handful_trainer.dataset.sources.fields import bounding_box, expect_text

_SIDES = ("xmin", "ymin", "xmax", "ymax")
_HINT = "correct it, or export it again"


class VocFile(NamedTuple):
    """The content of an XML file."""

    name: str
    """The image's file name; empty if it is not given."""
    size: tuple[int, int] | None
    """Width and height that it states."""
    boxes: tuple[RawBox, ...]
    deleted: int = 0
    """Objects that are marked as deleted."""
    swapped: int = 0
    """Boxes whose left and right, or top and bottom, were the wrong way round."""

    @property
    def objects(self) -> int:
        """How many it has."""
        return len(self.boxes) + self.deleted


def read_voc_file(path: Path) -> VocFile:
    """Read an XML file. Sides are pixels from the top left, beginning at 0; right and bottom are just outside the box.

    Raises:
        DamagedFileError: it is no XML, or not of this kind.
        AnnotationError: an object is wrong; the line names the file and the object.
    """
    content = path.read_bytes()
    plain = content.replace(b"\0", b"").upper()  # As UTF-16 it has a zero behind each letter.
    if b"<!DOCTYPE" in plain or b"<!ENTITY" in plain:
        raise DamagedFileError(
            f"{path} has a DOCTYPE or defines entities, which no annotation needs", "export it again"
        )
    try:
        root = ET.fromstring(content)  # noqa: S314 - without a DTD there is nothing to expand or to fetch
    except (ET.ParseError, ValueError, LookupError) as error:
        raise DamagedFileError(f"{path} is not valid XML ({error})", "export it again") from None
    for element in root.iter():  # Some tools write <Object>, or a namespace.
        element.tag = element.tag.rpartition("}")[2].lower()
    if root.tag != "annotation":
        raise DamagedFileError(f"{path} holds <{root.tag}>, not Pascal VOC's <annotation>", "export it again")
    found = list(enumerate(root.iter("object"), 1))
    present = [(number, thing) for number, thing in found if (thing.findtext("deleted") or "").strip() != "1"]
    boxes = [box for number, thing in present for box in _boxes(f"{path}, object {number}", thing)]
    upright = tuple(map(_upright, boxes))
    swapped = sum(box is not mended for box, mended in zip(boxes, upright, strict=True))
    return VocFile(_file_name(path, root), _size(root), upright, len(found) - len(present), swapped)


def _file_name(path: Path, root: ET.Element) -> str:
    """The image's name without folders: those of the machine that it was labelled on say nothing here."""
    name = (root.findtext("filename") or "").strip().replace("\\", "/").rsplit("/", 1)[-1]
    if name in {".", ".."} or not name.isprintable():
        raise AnnotationError(f"{path}: filename {name!r} is no name", _HINT)
    return name


def _size(root: ET.Element) -> tuple[int, int] | None:
    width, height = (root.findtext(f"size/{side}", "").strip() for side in ("width", "height"))
    if not (width.isdecimal() and height.isdecimal()) or "0" in {width, height} or len(width + height) > 12:
        return None  # Tools that did not know it wrote 0, or nothing.
    return int(width), int(height)


def _boxes(where: str, found: ET.Element) -> Iterator[RawBox]:
    """The boxes of an object; it may have several."""
    label = expect_text(where, "name", (found.findtext("name") or "").strip())
    polygon = found.find("polygon")
    given = found.findall("bndbox")
    for box in given:
        left, top, right, bottom = (_number(where, side, box.findtext(side)) for side in _SIDES)
        yield RawBox(label, left, top, right - left, bottom - top)
    if given:
        return
    if polygon is None:
        raise AnnotationError(f"{where}: it has neither bndbox nor polygon", _HINT)
    yield bounding_box(label, list(_points(where, polygon)))


def _points(where: str, polygon: ET.Element) -> Iterator[tuple[float, float]]:
    """Points as <x1> and <y1>, …, or as LabelMe writes them: <pt> with <x> and <y>."""
    if points := polygon.findall("pt"):
        for point in points:
            yield _number(where, "x", point.findtext("x")), _number(where, "y", point.findtext("y"))
        return
    values = {side.tag: _number(where, side.tag, side.text) for side in polygon}
    for number in range(1, len(values) // 2 + 1):
        if not {f"x{number}", f"y{number}"} <= values.keys():
            raise AnnotationError(f"{where}: its polygon has no point {number}", _HINT)
        yield values[f"x{number}"], values[f"y{number}"]


def _upright(box: RawBox) -> RawBox:
    """The box with its left before its right, and its top above its bottom; the same object if it is so already."""
    if box.width >= 0 and box.height >= 0:
        return box
    return box._replace(
        x=min(box.x, box.x + box.width),
        y=min(box.y, box.y + box.height),
        width=abs(box.width),
        height=abs(box.height),
    )


def _number(where: str, key: str, value: str | None) -> float:
    try:
        found = float(value or "")
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        what = "missing" if not (value or "").strip() else f"{(value or '').strip()[:30]!r}, no number"
        raise AnnotationError(f"{where}: {key} is {what}", _HINT)
    return found
