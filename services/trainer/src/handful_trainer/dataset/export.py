"""`handful data export`: what a source holds, such as reviewed pictures, as COCO, YOLO or a folder for each class.

coco     images/NAME.jpg, annotations.json
yolo     images/NAME.jpg, labels/NAME.txt, data.yaml
folder   CLASS/NAME.jpg

A source that has splits keeps them: annotations_train.json, images/train/NAME.jpg, train/CLASS/NAME.jpg.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from handful_core.console import say
from handful_core.errors import ConfigError
from handful_core.vision.decode import ImageError, read_header
from handful_trainer.dataset.accounts import few
from handful_trainer.dataset.errors import EmptyDatasetError, OutputExistsError
from handful_trainer.dataset.preparation.write import whole_folder
from handful_trainer.dataset.sources.base import ACCEPTED, SPLITS, RawDataset, RawItem, SplitName

_Corners = tuple[float, float, float, float]
_NO_NAME = frozenset('/\\:*?"<>|')


class LabelledImage(NamedTuple):
    """An image with its labels, ready to be written."""

    path: Path
    name: str
    """Its id with the file's suffix: no other has it."""
    width: int
    """Pixels of the upright image."""
    height: int
    """Pixels of the upright image."""
    boxes: tuple[tuple[str, _Corners], ...]
    """Label; left, top, right and bottom in pixels, clipped to the image."""
    labels: tuple[str, ...]
    split: SplitName | None = None


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written."""

    folder: Path
    form: str
    images: int
    labels: int
    """Boxes, or images with a class."""
    left_out: int
    """Images without a file or an accepted annotation, or that cannot be read."""

    def as_json(self) -> dict[str, Any]:
        """For another program."""
        return asdict(self) | {"folder": str(self.folder)}

    def __str__(self) -> str:
        """For people."""
        left = f"; {self.left_out} images were left out" if self.left_out else ""
        return f"{self.images} images with {self.labels} labels as {self.form}{left}\nfolder: {self.folder}"


def export(raw: RawDataset, form: str, output: Path) -> Exported:
    """Write what a source holds.

    Args:
        raw: what it holds.
        form: coco, yolo or folder.
        output: a new folder.

    Raises:
        ConfigError: there is no such form, or the source's labels are of another kind.
        EmptyDatasetError: nothing can be written.
        OutputExistsError: the folder holds something.
    """
    if form not in _FORMS:
        raise ConfigError(f"--format {form} is not known", f"it is {', '.join(_FORMS)}")
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise OutputExistsError(f"{output} holds something", "name another folder, or remove it")
    images = list(labelled_images(raw.items))
    if not images:
        raise EmptyDatasetError("no image has a file and an accepted annotation", "check where the images lie")
    classes = raw.classes or tuple(sorted({name for image in images for name in _names(image)}))
    _check_kind(images, form)
    with whole_folder(output) as folder:
        written = _FORMS[form](folder, images, classes)
    return Exported(output, form, len(images), written, len(raw.items) - len(images))


def labelled_images(items: Sequence[RawItem]) -> Iterator[LabelledImage]:
    """The images that have a file and an accepted annotation."""
    unreadable = []
    for item in items:
        if item.path is None or item.status != ACCEPTED:
            continue
        try:
            header = read_header(item.path.read_bytes())
        except ImageError:
            unreadable.append(item.name)
            continue
        name = f"{item.id}{item.path.suffix.lower()}"
        boxes = tuple(_clipped(item, header.width, header.height))
        yield LabelledImage(item.path, name, header.width, header.height, boxes, item.labels, item.split)
    if unreadable:
        say(f"warning: {len(unreadable)} images cannot be read and are left out: {few(unreadable)}")


def _clipped(item: RawItem, width: int, height: int) -> Iterator[tuple[str, _Corners]]:
    """Boxes in pixels, without crowds and without what lies outside."""
    x_scale, y_scale = (width, height) if item.relative else (1, 1)
    for box in item.boxes:
        left, right = (min(max(x * x_scale, 0), width) for x in (box.x, box.x + box.width))
        top, bottom = (min(max(y * y_scale, 0), height) for y in (box.y, box.y + box.height))
        if box.shape != "crowd" and right > left and bottom > top:
            yield box.label, (left, top, right, bottom)


def _check_kind(images: Sequence[LabelledImage], form: str) -> None:
    classified = any(image.labels for image in images)
    if form == "folder" and not classified:
        raise ConfigError("the images have boxes, and a folder for each class holds none", "use --format coco or yolo")
    if form != "folder" and classified and not any(image.boxes for image in images):
        raise ConfigError("the images have a class each, and no boxes", "use --format folder")


def _by_split(images: Sequence[LabelledImage]) -> dict[str, list[LabelledImage]]:
    """The images of each split, by its name; all of them by an empty one, if there is none.

    An image without a split beside others that have one is for training.
    """
    if not any(image.split for image in images):
        return {"": list(images)}
    found = {split: [image for image in images if (image.split or "train") == split] for split in SPLITS}
    return {split: part for split, part in found.items() if part}


def _as_coco(folder: Path, images: Sequence[LabelledImage], classes: Sequence[str]) -> int:
    _copy(folder / "images", images)
    return sum(
        _write_coco(folder / f"annotations{split and '_'}{split}.json", part, classes)
        for split, part in _by_split(images).items()
    )


def _write_coco(path: Path, images: Sequence[LabelledImage], classes: Sequence[str]) -> int:
    ids = {name: number for number, name in enumerate(classes, 1)}
    annotations = [
        {
            "image_id": number,
            "category_id": ids[label],
            "bbox": [round(left, 2), round(top, 2), round(right - left, 2), round(bottom - top, 2)],
            "area": round((right - left) * (bottom - top), 2),
            "iscrowd": 0,
        }
        for number, image in enumerate(images, 1)
        for label, (left, top, right, bottom) in image.boxes
    ]
    content = {
        "images": [
            {"id": number, "file_name": image.name, "width": image.width, "height": image.height}
            for number, image in enumerate(images, 1)
        ],
        "annotations": [{"id": number, **annotation} for number, annotation in enumerate(annotations, 1)],
        "categories": [{"id": number, "name": name} for name, number in ids.items()],
    }
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
    return len(annotations)


def _as_yolo(folder: Path, images: Sequence[LabelledImage], classes: Sequence[str]) -> int:
    content: dict[str, Any] = {}
    for split, part in _by_split(images).items():
        _copy(folder / "images" / split, part)
        (folder / "labels" / split).mkdir(parents=True)
        for image in part:
            lines = [f"{classes.index(label)} {_centred(box, image)}\n" for label, box in image.boxes]
            path = folder / "labels" / split / Path(image.name).with_suffix(".txt")
            path.write_text("".join(lines), encoding="utf-8", newline="\n")
        content[split or "train"] = f"images/{split}".rstrip("/")
    content["names"] = dict(enumerate(classes))
    (folder / "data.yaml").write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return sum(len(image.boxes) for image in images)


def _centred(box: _Corners, image: LabelledImage) -> str:
    """Centre, width and height as shares of the image."""
    left, top, right, bottom = box
    x, y = (left + right) / 2 / image.width, (top + bottom) / 2 / image.height
    return f"{x:.6f} {y:.6f} {(right - left) / image.width:.6f} {(bottom - top) / image.height:.6f}"


def _as_folder(folder: Path, images: Sequence[LabelledImage], classes: Sequence[str]) -> int:
    if bad := next((name for name in classes if _NO_NAME & set(name) or name.startswith(".")), None):
        raise ConfigError(f"the class {bad!r} cannot be the name of a folder", "give it another name")
    several = [image.name for image in images if len(image.labels) > 1]
    if several:
        raise ConfigError(
            f"{len(several)} images have several classes ({few(several)})", "give each the one that counts"
        )
    for split, part in _by_split(images).items():
        for name in {image.labels[0] for image in part if image.labels}:
            _copy(folder / split / name, [image for image in part if image.labels == (name,)])
    return sum(bool(image.labels) for image in images)


def _copy(folder: Path, images: Sequence[LabelledImage]) -> None:
    folder.mkdir(parents=True)
    for image in images:
        shutil.copyfile(image.path, folder / image.name)


def _names(image: LabelledImage) -> Iterator[str]:
    yield from (label for label, _ in image.boxes)
    yield from image.labels


_FORMS: Mapping[str, Callable[[Path, Sequence[LabelledImage], Sequence[str]], int]] = {
    "coco": _as_coco,
    "yolo": _as_yolo,
    "folder": _as_folder,
}
