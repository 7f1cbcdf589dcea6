"""A folder with what the Picsellia SDK gave: assets/, assets.json and annotations.json."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from handful_trainer.data.errors import AnnotationError, DamagedFileError, MissingSourceError
from handful_trainer.data.jsonfile import kind_of, read_json
from handful_trainer.data.raw import NO_ANNOTATION, RawBox, RawDataset, RawItem
from handful_trainer.data.settings import DatasetConfig
from handful_trainer.data.sources.fields import entry, number, plain_name, text

ASSETS, ANNOTATIONS, FILES = "assets.json", "annotations.json", "assets"


class PicselliaExportSource:
    """Reads `assets.json` (what `list_assets()` describes) and `annotations.json` (what `load_annotations()` returns).

    Images are files of `assets/` named by asset id: two assets may share a file name. Of an asset's annotations the
    first is the newest, and the only one that counts.
    """

    def __init__(self, config: DatasetConfig, home: Path) -> None:
        del home
        self._folder = config.path or Path()

    def roots(self) -> tuple[Path, ...]:
        """The two JSON files and the folder of images."""
        if not self._folder.is_dir():
            raise MissingSourceError(f"the folder {self._folder} does not exist", "correct dataset.path")
        hint = f"a Picsellia export has {ASSETS}, {ANNOTATIONS} and {FILES}/"
        for name in (ASSETS, ANNOTATIONS):
            if not (self._folder / name).is_file():
                raise MissingSourceError(f"{self._folder} has no {name}", hint)
        if not (self._folder / FILES).is_dir():
            raise MissingSourceError(f"{self._folder} has no folder {FILES}", hint)
        return (self._folder / ASSETS, self._folder / ANNOTATIONS, self._folder / FILES)

    def read(self) -> RawDataset:
        """All assets, each with its newest annotation."""
        self.roots()
        path = self._folder / ANNOTATIONS
        annotations = read_json(path, "the annotations by asset id")
        if not isinstance(annotations, dict):
            raise DamagedFileError(f"{path} holds {kind_of(annotations)}, not an object by asset id", "export it again")
        files = {Path(entry.name).stem: Path(entry.path) for entry in os.scandir(self._folder / FILES)}
        items = {}
        older = 0
        for asset_id, name, size in self._assets():
            if asset_id in items:
                raise AnnotationError(f"{self._folder / ASSETS} lists the asset {asset_id} twice", "export it again")
            status, boxes, behind = _newest(path, asset_id, annotations.get(asset_id))
            items[asset_id] = RawItem(asset_id, files.get(asset_id), name, status, boxes, size=size)
            older += behind
        return RawDataset(
            items=tuple(items.values()),
            older_annotations=older,
            annotations_without_asset=len(annotations.keys() - items.keys()),
            files_without_asset=len(files.keys() - items.keys()),
        )

    def _assets(self) -> Iterator[tuple[str, str, tuple[int, int] | None]]:
        """Id, file name and stated size of each asset."""
        path = self._folder / ASSETS
        assets = read_json(path, "the list of assets")
        if not isinstance(assets, list):
            raise DamagedFileError(f"{path} holds {kind_of(assets)}, not a list of assets", "export it again")
        for position, asset in enumerate(assets):
            where = f"{path}, entry {position + 1}"
            entry(where, asset)
            asset_id = plain_name(where, "id", asset.get("id"))
            data = asset.get("data") or {}
            entry(f"{path}, asset {asset_id}: data", data)
            filename = data.get("filename")
            meta = data.get("meta")
            size = (meta.get("width"), meta.get("height")) if isinstance(meta, dict) else (None, None)
            stated = (size[0], size[1]) if isinstance(size[0], int) and isinstance(size[1], int) else None
            yield asset_id, filename if isinstance(filename, str) else asset_id, stated


def _newest(path: Path, asset_id: str, annotations: Any) -> tuple[str, tuple[RawBox, ...], int]:
    """Status and boxes of an asset's newest annotation, and how many older ones there are."""
    where = f"{path}, asset {asset_id}"
    if annotations is None:
        return NO_ANNOTATION, (), 0
    if not isinstance(annotations, list):
        raise AnnotationError(
            f"{where}: {kind_of(annotations)} where the list of annotations should be", "export it again"
        )
    if not annotations:
        return NO_ANNOTATION, (), 0
    newest = entry(where, annotations[0])
    status = text(where, "status", newest.get("status")).lower()
    boxes = [_box(where, rectangle) for rectangle in _list(where, newest, "rectangles")]
    polygons = [_polygon(where, polygon) for polygon in _list(where, newest, "polygons")]
    return status, (*boxes, *polygons), len(annotations) - 1


def _list(where: str, annotation: dict[str, Any], key: str) -> list[Any]:
    value = annotation.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise AnnotationError(f"{where}: {key} is {kind_of(value)}, not a list", "export it again")
    return value


def _box(where: str, rectangle: Any) -> RawBox:
    entry(where, rectangle)
    x, y, width, height = (number(where, key, rectangle.get(key)) for key in "xywh")
    return RawBox(text(where, "label", rectangle.get("label")), x, y, width, height)


def _polygon(where: str, polygon: Any) -> RawBox:
    label = entry(where, polygon).get("label")
    return RawBox(label if isinstance(label, str) else "", 0, 0, 0, 0, shape="polygon")
