"""report.html: the report as a page that people read, in one file."""

from __future__ import annotations

import base64
import contextlib
import io
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
from PIL import Image, ImageOps

from handful_core.vision.decode import ImageError, decode_reduced
from handful_core.vision.pillow_images import PILLOW_ERRORS, open_image
from handful_trainer.dataset.preparation.assets import Asset, identical
from handful_trainer.dataset.sources.base import SPLITS, captured_picture
from handful_trainer.tasks.label_format import LabelFormat
from handful_trainer.workers import WorkerPool

if TYPE_CHECKING:
    from jinja2 import Template

PAGE = "report.html"
_EXAMPLES = 5
"""Pictures of each defect."""
_SAMPLES = 15
"""Pictures of each split."""
_AT_ONCE = 3
"""Pictures that are drawn in one go."""
_FILE_TITLES = {
    "truncated": "Files that break off",
    "empty": "Empty files",
    "html": "Web pages saved as images",
    "noise": "Files that are no images",
    "garbled": "Images that decode to nothing",
    "unsupported": "Formats that are not read",
    "missing": "Assets without a file",
}
_IMAGE_TITLES = {
    "rotated": "Photos turned by their EXIF orientation",
    "identical": "Identical images under several ids",
    "alike": "Images that look alike, kept on one side of the split",
}


class Gallery(NamedTuple):
    """Pictures that have something in common."""

    title: str
    total: int
    pictures: list[Thumbnail]


@cache
def template(name: str = "page.html.j2") -> Template:
    """The template of a page, compiled: a tenth of a second that can be spent while others work."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    pages = Environment(
        loader=PackageLoader("handful_trainer.dataset.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    return pages.get_template(name)


def write_page(
    folder: Path, report: dict[str, Any], assets: Sequence[Asset], labels: LabelFormat, pool: WorkerPool
) -> None:
    """Write report.html into the dataset's folder; the pool draws its pictures."""
    titles = {**_FILE_TITLES, **labels.titles, **_IMAGE_TITLES}
    draw = partial(_drawn, pool, report["names"], labels)
    found = _defects(assets, report, labels, titles)
    defects = [draw(titles.get(name, name.replace("_", " ")), found[name], _EXAMPLES) for name in found]
    samples = [draw(split, _spread([a for a in assets if a.split == split]), _SAMPLES) for split in SPLITS]
    per_class = f"{labels.noun}_per_class"
    largest = max((n for split in SPLITS for n in report["splits"][split][per_class].values()), default=0)
    html = template().render(
        report=report,
        noun=labels.noun,
        without=labels.without,
        splits=SPLITS,
        galleries=[finish() for finish in defects],
        samples=[finish() for finish in samples],
        largest=max(largest, 1),
    )
    (folder / PAGE).write_text(html, encoding="utf-8", errors="replace", newline="\n")


def _drawn(
    pool: WorkerPool,
    classes: Sequence[str],
    labels: LabelFormat,
    title: str,
    found: Sequence[tuple[Asset, str]],
    most: int,
) -> Callable[[], Gallery]:
    """Begin to draw the first of some assets; what is given back waits for the pictures."""
    shown = [(asset, tuple(labels.outlines(asset, classes)), note) for asset, note in found[:most]]
    pictures = pool.run(_pictures, shown, chunk=_AT_ONCE)
    return lambda: Gallery(title, len(found), list(pictures))


def _pictures(shown: Sequence[tuple[Asset, tuple[Outline, ...], str]]) -> list[Thumbnail]:
    return [picture_of(asset, outlines, note) for asset, outlines, note in shown]


def _defects(
    assets: Sequence[Asset], report: dict[str, Any], labels: LabelFormat, titles: Iterable[str]
) -> dict[str, list[tuple[Asset, str]]]:
    """Assets by what is wrong with them, each with a note."""
    found: dict[str, list[tuple[Asset, str]]] = defaultdict(list)
    for asset in assets:
        if asset.facts.defect:
            found[asset.facts.defect].append(
                (asset, f"{asset.item.id}: {asset.facts.detail}, {asset.facts.size} bytes")
            )
        for problem in _problems(asset, labels):
            found[problem].append((asset, ""))
    for same in identical(assets):
        if len(same) > 1:
            found["identical"] += [(asset, f"{asset.item.id}, in {asset.split}") for asset in same]
    by_id = {asset.item.id: asset for asset in assets}
    found["alike"] = [
        (by_id[i], f"{i}, in {by_id[i].split}") for same in report["near_duplicates"]["examples"] for i in same
    ]
    order = dict.fromkeys([*titles, *sorted(found)])
    return {name: found[name] for name in order if found[name]}


def _problems(asset: Asset, labels: LabelFormat) -> Iterator[str]:
    yield from dict.fromkeys(problem for problem, _ in labels.problems(asset))
    yield from labels.oddities(asset)
    if asset.outcome == "usable" and asset.facts.orientation != 1:
        yield "rotated"


def _spread(assets: Sequence[Asset]) -> list[tuple[Asset, str]]:
    """The assets so ordered that the first show every class in turn, and one without labels."""
    by_class: dict[int, list[Asset]] = defaultdict(list)
    for asset in assets:
        for class_id in {label.class_id for label in asset.kept} or {-1}:
            by_class[class_id].append(asset)
    chosen: dict[str, Asset] = {}
    for position in range(_SAMPLES):
        for class_id in sorted(by_class):
            for asset in islice(by_class[class_id], position, position + 1):
                chosen.setdefault(asset.item.id, asset)
    rest = {asset.item.id: asset for asset in assets}
    return [(asset, "") for asset in (chosen | rest).values()]


_SIDE = 320
"""Longest side in pixels."""
_QUALITY = 78
_BEYOND = 0.35
"""Share of the image's size that is shown beyond its edges where boxes lie there."""
_PREVIEW = 96
"""Bytes of a file that is no image."""


@dataclass(frozen=True, slots=True)
class Outline:
    """A box as it is shown; pixels of the upright image."""

    left: float
    top: float
    width: float
    height: float
    text: str
    kind: str
    """kept, clipped or dropped."""
    hue: int = 0
    """Degrees of the colour circle, one for each class."""


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """An image of the dataset, or what can be said in its place."""

    title: str
    note: str
    source: str = ""
    """data: address of a JPEG; empty if there is nothing to see."""
    width: int = 0
    """Pixels of the upright image."""
    height: int = 0
    """Pixels of the upright image."""
    outlines: tuple[Outline, ...] = ()
    words: str = ""
    """How a file begins that is no image."""

    @property
    def view(self) -> tuple[float, float, float, float]:
        """Left, top, width and height of what is shown: the image, and boxes that lie not far from it."""
        far_x, far_y = self.width * _BEYOND, self.height * _BEYOND
        left = max(min([0.0, *(o.left - 2 for o in self.outlines)]), -far_x)
        top = max(min([0.0, *(o.top - 2 for o in self.outlines)]), -far_y)
        right = min(max([self.width, *(o.left + o.width + 2 for o in self.outlines)]), self.width + far_x)
        bottom = min(max([self.height, *(o.top + o.height + 2 for o in self.outlines)]), self.height + far_y)
        return left, top, right - left, bottom - top


def picture_of(asset: Asset, outlines: tuple[Outline, ...], note: str = "") -> Thumbnail:
    """An asset with what is drawn over it."""
    name, facts = asset.item.name, asset.facts
    note = note or f"{asset.item.id}, {facts.width} x {facts.height}"
    if captured_picture(asset.item.id):  # Trainings log the page, and somebody may delete the picture.
        return Thumbnail(name, note, words="a captured picture, which is not shown here")
    if asset.item.path is None or facts.defect in {"missing", "unreadable"}:
        return Thumbnail(name, note, words="there is no file")
    if facts.defect:
        return _broken(asset.item.path, name, note)
    try:
        return picture_of_file(asset.item.path, name, note, outlines)
    except ImageError:
        if facts.decoded:
            raise
        return Thumbnail(name, note, words="its pixels make no sense")


def picture_of_file(path: Path, title: str, note: str, outlines: tuple[Outline, ...]) -> Thumbnail:
    """An image with what is drawn over it.

    Raises:
        ImageError: it cannot be decoded.
    """
    image = decode_reduced(path.read_bytes(), enough=_SIDE)
    address = _address(Image.fromarray(cv2.cvtColor(image.pixels, cv2.COLOR_BGR2RGB)))
    return Thumbnail(title, note, address, image.width, image.height, outlines)


def _broken(path: Path, name: str, note: str) -> Thumbnail:
    """As much of a picture as a broken JPEG holds, the rest grey; of other files the first bytes."""
    data = path.read_bytes()
    if data.startswith(b"\xff\xd8"):
        with contextlib.suppress(*PILLOW_ERRORS):
            # With an end put behind it Pillow is content, and OpenCV is not.
            return Thumbnail(name, note, *_remains(data + b"\xff\xd9"))
    begin = data[:_PREVIEW]
    words = begin.decode("ascii") if begin.isascii() else begin[:32].hex(" ")
    return Thumbnail(name, note, words=words or "no bytes")


def _remains(data: bytes) -> tuple[str, int, int]:
    """What is left of an image, upright and small, as a data: address, and the size of the original."""
    with open_image(data) as image:
        size = image.size
        shrink = min(1, _SIDE / max(size))
        image.draft("RGB", (int(size[0] * shrink), int(size[1] * shrink)))  # A large photo at a fraction of its size.
        upright = ImageOps.exif_transpose(image).convert("RGB")
    width, height = size if (size[0] < size[1]) == (upright.width < upright.height) else size[::-1]
    return _address(upright), width, height


def _address(image: Image.Image) -> str:
    image.thumbnail((_SIDE, _SIDE))
    written = io.BytesIO()
    image.save(written, "JPEG", quality=_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(written.getvalue()).decode()}"
