"""A folder with what the Picsellia SDK gave: assets/, assets.json and annotations.json."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from handful_trainer.dataset.accounts import (
    ANNOTATION_RECORDS,
    IMAGE_FILES,
    NOT_LISTED,
    OF_UNLISTED_IMAGE,
    OLDER,
    Books,
)
from handful_trainer.dataset.errors import AnnotationError, DamagedFileError, MissingSourceError
from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.dataset.sources.base import NO_ANNOTATION, RawBox, RawDataset, RawItem
from handful_trainer.dataset.sources.fields import (
    bounding_box,
    expect_file_name,
    expect_number,
    expect_object,
    expect_point,
    expect_text,
    json_type,
    optional_list,
    read_json,
)

ASSETS, ANNOTATIONS, FILES = "assets.json", "annotations.json", "assets"
SOURCE = "source.json"
"""What `handful data pull` says of where the others came from; an export made by hand need not have it."""
UNFINISHED = ".unfinished"
"""Lies in a folder while a pull changes it, and after one that was broken off."""


class PicselliaExportSource:
    """Reads `assets.json` (what `list_assets()` describes) and `annotations.json` (what `load_annotations()` returns).

    Images are files of `assets/` named by asset id: two assets may share a file name. Of an asset's annotations the
    first is the newest, and the only one that counts.
    """

    def __init__(self, config: DatasetConfig, home: Path) -> None:
        del home
        self._folder = config.path or Path()

    def roots(self) -> tuple[Path, ...]:
        """The JSON files and the folder of images."""
        if not self._folder.is_dir():
            raise MissingSourceError(f"the folder {self._folder} does not exist", "correct dataset.path")
        if (self._folder / UNFINISHED).exists():
            raise MissingSourceError(f"the pull into {self._folder} was broken off", "run handful data pull again")
        hint = f"a Picsellia export has {ASSETS}, {ANNOTATIONS} and {FILES}/"
        for name in (ASSETS, ANNOTATIONS):
            if not (self._folder / name).is_file():
                raise MissingSourceError(f"{self._folder} has no {name}", hint)
        if not (self._folder / FILES).is_dir():
            raise MissingSourceError(f"{self._folder} has no folder {FILES}", hint)
        source = self._folder / SOURCE  # Its labels are the classes.
        others = [source] if source.is_file() else []
        return (self._folder / ASSETS, self._folder / ANNOTATIONS, self._folder / FILES, *others)

    def read(self) -> RawDataset:
        """All assets, each with its newest annotation."""
        self.roots()
        path = self._folder / ANNOTATIONS
        annotations, place = read_json(path, "the annotations by asset id"), str(path)
        if not isinstance(annotations, dict):
            raise DamagedFileError(
                f"{path} holds {json_type(annotations)}, not an object by asset id", "export it again"
            )
        with os.scandir(self._folder / FILES) as found:
            files = {os.path.splitext(file.name)[0]: file.path for file in found}  # noqa: PTH122 - a Path is slow to make
        items, books = dict[str, RawItem](), Books()
        for item in self._assets(files):
            if item.id in items:
                raise AnnotationError(f"{self._folder / ASSETS} lists the asset {item.id} twice", "export it again")
            items[item.id], older = _with_newest_annotation(place, item, annotations.get(item.id))
            for _ in range(older):
                books.leave_out(ANNOTATION_RECORDS, OLDER, item.id)
        _account(annotations, files, items, books)
        return RawDataset(tuple(items.values()), classes=self._labels(), accounts=books.close())

    def _labels(self) -> tuple[str, ...]:
        """The version's labels, as far as the pull wrote them down."""
        path = self._folder / SOURCE
        if not path.is_file():
            return ()
        content = read_json(path, "where the dataset was pulled from")
        labels = content.get("labels") if isinstance(content, dict) else None
        if not isinstance(labels, list) or not all(isinstance(label, str) and label for label in labels):
            raise DamagedFileError(f"{path} has no list of labels", "run handful data pull again")
        return tuple(dict.fromkeys(labels))

    def _assets(self, files: dict[str, str]) -> Iterator[RawItem]:
        """The assets, without their annotations."""
        path = self._folder / ASSETS
        assets = read_json(path, "the list of assets")
        if not isinstance(assets, list):
            raise DamagedFileError(f"{path} holds {json_type(assets)}, not a list of assets", "export it again")
        for position, asset in enumerate(assets):
            yield _asset(str(path), position, asset, files)


def _account(annotations: dict[str, Any], files: dict[str, str], items: dict[str, RawItem], books: Books) -> None:
    """Enter annotations and image files; those of no asset are left out."""
    for asset_id, found in annotations.items():
        if asset_id in items:
            books.find(ANNOTATION_RECORDS, len(found or ()))
            books.use(ANNOTATION_RECORDS, 1 if found else 0)
            continue
        records = found if isinstance(found, list) and found else [found]
        books.find(ANNOTATION_RECORDS, len(records))
        for _ in records:
            books.leave_out(ANNOTATION_RECORDS, OF_UNLISTED_IMAGE, asset_id, f"{ASSETS} does not list the asset")
    books.find(IMAGE_FILES, len(files))
    books.use(IMAGE_FILES, len(files.keys() & items.keys()))
    for asset_id in sorted(files.keys() - items.keys()):
        books.leave_out(IMAGE_FILES, NOT_LISTED, asset_id, f"{ASSETS} does not list it")


def _asset(path: str, position: int, asset: Any, files: dict[str, str]) -> RawItem:
    """An asset without its annotations."""
    where = f"{path}, entry {position + 1}"
    asset_id = expect_file_name(where, "id", expect_object(where, asset).get("id"))
    where = f"{path}, asset {asset_id}"
    data = expect_object(where + ": data", asset.get("data") or {})
    filename, meta, file = data.get("filename"), data.get("meta"), files.get(asset_id)
    width, height = (meta.get("width"), meta.get("height")) if isinstance(meta, dict) else (None, None)
    stated = (width, height) if isinstance(width, int) and isinstance(height, int) else None
    name = filename if isinstance(filename, str) else asset_id
    tags = tuple([expect_text(where, "a tag", tag) for tag in optional_list(where, asset, "tags")])
    return RawItem(asset_id, Path(file) if file else None, name, NO_ANNOTATION, size=stated, tags=tags)


def _with_newest_annotation(path: str, item: RawItem, annotations: Any) -> tuple[RawItem, int]:
    """An asset with its newest annotation, and how many older ones there are."""
    where = f"{path}, asset {item.id}"
    if annotations is None:
        return item, 0
    if not isinstance(annotations, list):
        raise AnnotationError(
            f"{where}: {json_type(annotations)} where the list of annotations should be", "export it again"
        )
    if not annotations:
        return item, 0
    newest = expect_object(where, annotations[0])
    status = expect_text(where, "status", newest.get("status")).lower()
    boxes = [_box(where, rectangle) for rectangle in optional_list(where, newest, "rectangles")]
    polygons = [_polygon(where, polygon) for polygon in optional_list(where, newest, "polygons")]
    labels = tuple(_label(where, found) for found in optional_list(where, newest, "classifications"))
    return item._replace(status=status, boxes=(*boxes, *polygons), labels=labels), len(annotations) - 1


def _box(where: str, rectangle: Any) -> RawBox:
    expect_object(where, rectangle)
    x, y, width, height = [expect_number(where, key, rectangle.get(key)) for key in "xywh"]
    return RawBox(_label(where, rectangle), x, y, width, height)


def _polygon(where: str, polygon: Any) -> RawBox:
    """The box around a polygon; it has no area if the polygon has no points."""
    label = _label(where, polygon)
    points = [expect_point(where, "polygon", value) for value in optional_list(where, polygon, "polygon")]
    return bounding_box(label, points)


def _label(where: str, shape: Any) -> str:
    return expect_text(where, "label", expect_object(where, shape).get("label"))
