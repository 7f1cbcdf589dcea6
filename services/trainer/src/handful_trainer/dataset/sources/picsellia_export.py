"""A folder with what the Picsellia SDK gave: assets/, assets.json and annotations.json."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from handful_core.folders import list_files, walk_files
from handful_trainer.dataset.accounts import (
    ANNOTATION_RECORDS,
    IMAGE_FILES,
    LEFT_BY_SYSTEM,
    NOT_LISTED,
    OF_UNLISTED_IMAGE,
    OLDER,
    Books,
    few,
)
from handful_trainer.dataset.errors import AnnotationError, DamagedFileError, MissingSourceError, check_folder
from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.dataset.sources.base import ACCEPTED, IMAGE_SUFFIXES, NO_ANNOTATION, RawBox, RawDataset, RawItem
from handful_trainer.dataset.sources.fields import (
    IN_SHARES,
    PIXELS_HINT,
    bounding_box,
    expect_file_name,
    expect_number,
    expect_object,
    expect_point,
    expect_text,
    is_in_shares,
    json_type,
    optional_list,
    read_json,
    shares_among,
)

ASSETS, ANNOTATIONS, FILES = "assets.json", "annotations.json", "assets"
_ASSETS, _SHAPES = "assets", "shapes"
_USED = frozenset({"rectangles", "polygons", "classifications"})
"""What an annotation has that is read."""
_OTHER_SHAPES = frozenset({"lines", "points"})
_STATUSES = frozenset({ACCEPTED, NO_ANNOTATION, "pending", "refused", "skipped"})
"""Statuses that Picsellia gives, in lower case."""
_TASKS = {"OBJECT_DETECTION": "detect", "SEGMENTATION": "detect", "CLASSIFICATION": "classify"}
"""Tasks by the type of a dataset version; outlines become boxes."""
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
        check_folder(self._folder, "dataset.path")
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
        items, books, files = dict[str, RawItem](), Books(), AssetFiles(self._folder / FILES)
        for item in self._assets(files):
            books.find(_ASSETS)
            if item.id in items:
                raise AnnotationError(f"{self._folder / ASSETS} lists the asset {item.id} twice", "export it again")
            items[item.id] = _with_newest_annotation(place, item, annotations.get(item.id), books)
            books.use(_ASSETS)
        _account_strays(annotations, items, books)
        every = tuple(_in_pixels(place, list(items.values()), books))
        files.account(books)
        source = self._source()
        return RawDataset(every, self._labels(source), books.close(), tuple(_warnings(every)), _made_for(source))

    def _source(self) -> Any:
        """What the pull wrote down of the version; None for an export made by hand."""
        path = self._folder / SOURCE
        return read_json(path, "where the dataset was pulled from") if path.is_file() else None

    def _labels(self, source: Any) -> tuple[str, ...]:
        """The version's labels, as far as the pull wrote them down."""
        if source is None:
            return ()
        path, labels = self._folder / SOURCE, source.get("labels") if isinstance(source, dict) else None
        if not isinstance(labels, list) or not all(isinstance(label, str) and label for label in labels):
            raise DamagedFileError(f"{path} has no list of labels", "run handful data pull again")
        return tuple(dict.fromkeys(labels))

    def _assets(self, files: AssetFiles) -> Iterator[RawItem]:
        """The assets, without their annotations."""
        path = self._folder / ASSETS
        assets = read_json(path, "the list of assets")
        if not isinstance(assets, list):
            raise DamagedFileError(f"{path} holds {json_type(assets)}, not a list of assets", "export it again")
        for position, asset in enumerate(assets):
            yield _asset(str(path), position, asset, files)


class AssetFiles:
    """The files of a folder by asset id, which is what stands before their suffix."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._by_stem = defaultdict[str, list[Path]](list)
        for name in list_files(folder):
            path = folder / name
            self._by_stem[path.stem].append(path)
        self._used: set[Path] = set()

    def of(self, asset_id: str, filename: str) -> Path | None:
        """An asset's file, None if it has none.

        Args:
            asset_id: its id.
            filename: what it is called: its suffix tells which of several files is meant.

        Raises:
            DamagedFileError: there are several.
        """
        found = self._by_stem.get(asset_id, [])
        if len(found) > 1:
            found = [path for path in found if path.suffix.lower() in IMAGE_SUFFIXES] or found
        if len(found) > 1:
            found = [path for path in found if path.suffix.lower() == PurePath(filename).suffix.lower()] or found
        if len(found) > 1:
            names = " and ".join(path.name for path in found)
            raise DamagedFileError(f"{self._folder} has {names} for the asset {asset_id}", "remove all but one")
        self._used.update(found)
        return found[0] if found else None

    def account(self, books: Books) -> None:
        """Enter all files: those that assets have are used."""
        nested = walk_files(self._folder, IMAGE_SUFFIXES)
        deeper = [path for path in nested.data if path.parent != self._folder]
        here = [path for found in self._by_stem.values() for path in found]
        books.find(IMAGE_FILES, len(here) + len(deeper) + len(nested.system))
        books.use(IMAGE_FILES, len(self._used))
        used = {path.stem for path in self._used}
        for path in sorted(path for path in here if path not in self._used):
            if path.stem in used:
                books.leave_out(IMAGE_FILES, "beside the asset's file", path.name)
            else:
                books.leave_out(IMAGE_FILES, NOT_LISTED, path.name, f"{ASSETS} has no asset of this id")
        for path in deeper:
            books.leave_out(IMAGE_FILES, "in a folder of their own", path.name, f"put them into {FILES} itself")
        for path in nested.system:
            books.leave_out(IMAGE_FILES, LEFT_BY_SYSTEM, path.name)


def _made_for(source: Any) -> str:
    """The task of the version's type, if the pull wrote one down that says it."""
    version = source.get("version") if isinstance(source, dict) else None
    kind = str(version.get("type", "")) if isinstance(version, dict) else ""
    return _TASKS.get(kind.rpartition(".")[2].upper(), "")


def _account_strays(annotations: dict[str, Any], items: Mapping[str, RawItem], books: Books) -> None:
    """Enter the annotations of assets that are not listed."""
    for asset_id, found in annotations.items():
        if asset_id in items:
            continue
        records = found if isinstance(found, list) and found else [found]
        books.find(ANNOTATION_RECORDS, len(records))
        for _ in records:
            books.leave_out(ANNOTATION_RECORDS, OF_UNLISTED_IMAGE, asset_id, f"{ASSETS} does not list the asset")


def _warnings(items: Sequence[RawItem]) -> Iterator[str]:
    """Statuses that Picsellia does not give: such assets are not used."""
    for status in sorted({item.status for item in items} - _STATUSES):
        which = [item.id for item in items if item.status == status]
        yield f"{len(which)} assets have the status {status!r} ({few(which)}): only accepted ones are used"


def _asset(path: str, position: int, asset: Any, files: AssetFiles) -> RawItem:
    """An asset without its annotations."""
    where = f"{path}, entry {position + 1}"
    asset_id = expect_file_name(where, "id", expect_object(where, asset).get("id"))
    where = f"{path}, asset {asset_id}"
    data = expect_object(where + ": data", asset.get("data") or {})
    filename, meta = data.get("filename"), data.get("meta")
    width, height = (meta.get("width"), meta.get("height")) if isinstance(meta, dict) else (None, None)
    stated = (width, height) if isinstance(width, int) and isinstance(height, int) else None
    name = filename if isinstance(filename, str) else asset_id
    tags = tuple([expect_text(where, "a tag", tag) for tag in optional_list(where, asset, "tags")])
    return RawItem(asset_id, files.of(asset_id, name), name, NO_ANNOTATION, size=stated, tags=tags)


def _with_newest_annotation(path: str, item: RawItem, annotations: Any, books: Books) -> RawItem:
    """An asset with its newest annotation."""
    where = f"{path}, asset {item.id}"
    if annotations is None:
        return item
    if not isinstance(annotations, list):
        raise AnnotationError(
            f"{where}: {json_type(annotations)} where the list of annotations should be", "export it again"
        )
    if not annotations:
        return item
    books.find(ANNOTATION_RECORDS, len(annotations))
    books.use(ANNOTATION_RECORDS)
    for _ in annotations[1:]:
        books.leave_out(ANNOTATION_RECORDS, OLDER, item.id)
    newest = expect_object(where, annotations[0])
    status = expect_text(where, "status", newest.get("status")).lower().removeprefix("annotationstatus.")
    boxes = [_box(where, rectangle) for rectangle in optional_list(where, newest, "rectangles")]
    polygons = [_polygon(where, polygon) for polygon in optional_list(where, newest, "polygons")]
    labels = tuple(_label(where, found) for found in optional_list(where, newest, "classifications"))
    _account_shapes(item, newest, len(boxes) + len(polygons) + len(labels), books)
    return item._replace(status=status, boxes=(*boxes, *polygons), labels=labels)


def _account_shapes(item: RawItem, annotation: dict[str, Any], used: int, books: Books) -> None:
    """Enter what an annotation holds. Rectangles, polygons and classifications are used."""
    books.find(_SHAPES, used)
    for kind, shapes in annotation.items():
        if kind in _USED:
            continue
        single = isinstance(shapes, dict) and "label" in shapes
        for shape in [shapes] if single else shapes if isinstance(shapes, list) else ():
            if kind in _OTHER_SHAPES or isinstance(shape, dict | list):  # Lists of texts and numbers draw nothing.
                books.find(_SHAPES)
                books.leave_out(_SHAPES, f"drawn as {kind}", item.id, "draw rectangles or polygons instead")


def _in_pixels(path: str, items: Sequence[RawItem], books: Books) -> Iterator[RawItem]:
    """The items without boxes in shares of the image.

    Raises:
        AnnotationError: half of the boxes are so.
    """
    boxes = [(item, box) for item in items for box in item.boxes]

    def refuse(position: int, number: str) -> AnnotationError:
        item, box = boxes[position]
        numbers = f"{box.x:g}, {box.y:g}, {box.width:g}, {box.height:g}"
        what = f"a shape is in shares of the image ({numbers}), {number}, not in pixels"
        return AnnotationError(f"{path}, asset {item.id}: {what}", PIXELS_HINT)

    shares = shares_among([box for _, box in boxes], refuse)
    for position in shares:
        books.leave_out(_SHAPES, IN_SHARES, boxes[position][0].id, PIXELS_HINT)
    books.use(_SHAPES, len(boxes) - len(shares) + sum(len(item.labels) for item in items))
    for item in items:
        kept = tuple(box for box in item.boxes if not is_in_shares(box)) if shares else item.boxes
        yield item if len(kept) == len(item.boxes) else item._replace(boxes=kept)


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
