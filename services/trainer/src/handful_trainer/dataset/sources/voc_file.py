"""One XML file of Pascal VOC, checked as it is read."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree as ET

from handful_trainer.dataset.errors import AnnotationError, DamagedFileError
from handful_trainer.dataset.sources.base import RawBox
from handful_trainer.dataset.sources.fields import around, text

_SIDES = ("xmin", "ymin", "xmax", "ymax")


class VocFile(NamedTuple):
    """What it says."""

    name: str
    """The image's file name; empty if it is not given."""
    size: tuple[int, int] | None
    """Width and height that it states."""
    boxes: tuple[RawBox, ...]


def read_voc_file(path: Path) -> VocFile:
    """Read an XML file. Sides are pixels from the top left, beginning at 0; right and bottom belong no more to the box.

    Raises:
        DamagedFileError: it is no XML, or not of this kind.
        AnnotationError: an object is wrong; the line names the file and the object.
    """
    content = path.read_bytes()
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise DamagedFileError(f"{path} defines entities, which no annotation needs", "export it again")
    try:
        root = ET.fromstring(content)  # noqa: S314 - without a DTD there is nothing to expand or to fetch
    except (ET.ParseError, ValueError, LookupError) as error:
        raise DamagedFileError(f"{path} is no valid XML ({error})", "export it again") from None
    if root.tag != "annotation":
        raise DamagedFileError(f"{path} holds <{root.tag}>, not Pascal VOC's <annotation>", "export it again")
    boxes = [_box(f"{path}, object {number}", found) for number, found in enumerate(root.iterfind("object"), 1)]
    return VocFile(_file_name(path, root), _size(root), tuple(boxes))


def _file_name(path: Path, root: ET.Element) -> str:
    """The image's name without folders: those of the machine that it was labelled on say nothing here."""
    name = (root.findtext("filename") or "").strip().replace("\\", "/").rsplit("/", 1)[-1]
    if name in {".", ".."} or not name.isprintable():
        raise AnnotationError(f"{path}: filename {name!r} is no name", "correct it, or export it again")
    return name


def _size(root: ET.Element) -> tuple[int, int] | None:
    width, height = (root.findtext(f"size/{side}", "").strip() for side in ("width", "height"))
    if not (width.isdecimal() and height.isdecimal()) or "0" in {width, height} or len(width + height) > 12:
        return None  # Tools that did not know it wrote 0, or nothing.
    return int(width), int(height)


def _box(where: str, found: ET.Element) -> RawBox:
    label = text(where, "name", (found.findtext("name") or "").strip())
    box = found.find("bndbox")
    if box is not None:
        left, top, right, bottom = (_number(where, side, box.findtext(side)) for side in _SIDES)
        return RawBox(label, left, top, right - left, bottom - top)
    polygon = found.find("polygon")
    if polygon is None:
        raise AnnotationError(f"{where}: it has neither bndbox nor polygon", "correct it, or export it again")
    values = {side.tag: _number(where, side.tag, side.text) for side in polygon}
    points = []
    for number in range(1, len(values) // 2 + 1):
        if not {f"x{number}", f"y{number}"} <= values.keys():
            raise AnnotationError(f"{where}: its polygon has no point {number}", "correct it, or export it again")
        points.append((values[f"x{number}"], values[f"y{number}"]))
    return around(label, points)


def _number(where: str, key: str, value: str | None) -> float:
    try:
        found = float(value or "")
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        what = "missing" if not (value or "").strip() else f"{(value or '').strip()[:30]!r}, no number"
        raise AnnotationError(f"{where}: {key} is {what}", "correct it, or export it again")
    return found
