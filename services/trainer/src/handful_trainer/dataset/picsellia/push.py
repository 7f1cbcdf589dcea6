"""`handful data push`: pictures and annotations as a new dataset version in Picsellia.

What is there already is left alone: files are known by the sha256 in their custom metadata, assets by their file,
annotations by what they say. So a push that was broken off goes on when it is run again, and a whole one changes
nothing. A version that holds something else is refused: a version is one state of a dataset.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from handful_core.console import say
from handful_core.errors import ConfigError
from handful_core.files import write_atomically
from handful_trainer.dataset.errors import EmptyDatasetError
from handful_trainer.dataset.export import labelled_images
from handful_trainer.dataset.picsellia.listing import load_annotations
from handful_trainer.dataset.picsellia.progress import Progress
from handful_trainer.dataset.picsellia.remote_push import WritableVersion
from handful_trainer.dataset.picsellia.settings import PicselliaSettings, Target
from handful_trainer.dataset.sources.base import RawDataset, RawItem

_MARK = "pushed by Handful"
_DIGITS = 16


class _Picture(NamedTuple):
    """What is pushed of an image."""

    path: Path
    name: str
    """In Picsellia: the id, which no other has, with the file's suffix."""
    sha256: str
    size: tuple[int, int]
    boxes: tuple[tuple[str, int, int, int, int], ...]
    """Label, left, top, width, height in whole pixels."""
    labels: tuple[str, ...]

    def says(self) -> tuple[Any, ...]:
        """The same for the same annotation, in whatever order."""
        return tuple(sorted(self.boxes)), tuple(sorted(self.labels))


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push did."""

    dataset: str
    version: str
    images: int
    """In the version."""
    uploaded: int
    """Files that were sent this time; the others were there."""
    added: int
    """Assets that were made this time."""
    annotated: int
    """Assets whose annotation was written this time."""
    left_out: int
    """Images of the source without a file or an accepted annotation, or that cannot be read."""

    def as_json(self) -> dict[str, Any]:
        """For another program."""
        return asdict(self)

    def __str__(self) -> str:
        """For people."""
        left = f"; {self.left_out} images were left out" if self.left_out else ""
        return (
            f"{self.dataset}, version {self.version}: {self.images} images{left}\n"
            f"uploaded {self.uploaded} files, added {self.added} assets, wrote {self.annotated} annotations; "
            "the rest was there already"
        )


def push(raw: RawDataset, task: str, target: Target, settings: PicselliaSettings, home: Path) -> Pushed:
    """Bring a dataset version up to what a source holds.

    Args:
        raw: what the source holds. Images without an accepted annotation are left out.
        task: detect or classify.
        target: dataset and version, which are made if they are not there.
        settings: the token and how to reach the platform.
        home: Handful's folder, where it is written down which versions were made here.

    Raises:
        ConfigError: no token, it is refused, or the version holds something else.
        DataError: nothing can be pushed, or the platform refuses it.
        UnavailableError: the platform or its object store do not answer.
    """
    if task not in {"detect", "classify"}:
        raise ConfigError(f"images of the task {task} cannot be pushed", "push boxes or classes")
    pictures = _distinct(_pictures(raw.items, task))
    if not pictures:
        raise EmptyDatasetError("no image has a file and an accepted annotation", "check where the images lie")
    mark = f"{_MARK}: {_digest(pictures)}"
    remote = WritableVersion(target, settings.secret(), settings.workers, task, mark)
    try:
        note = home / "pushed" / f"{remote.description['version']['id']}.txt"
        if remote.made:
            note.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(note, mark)
        elif mark not in {remote.marked(), note.read_text(encoding="utf-8") if note.is_file() else ""}:
            raise ConfigError(
                f"{target} is there, and holds something else than what is pushed",
                "name a new version: a version is one state of a dataset",
            )
        with Progress() as progress:
            return _push(remote, pictures, target, settings.workers, len(raw.items) - len(pictures), progress)
    finally:
        remote.close()


def _push(
    remote: WritableVersion,
    pictures: Sequence[_Picture],
    target: Target,
    workers: int,
    left_out: int,
    progress: Progress,
) -> Pushed:
    names = [picture.name for picture in pictures]
    there = remote.stored(names)
    new = [picture for picture in pictures if picture.sha256 not in there]
    progress.step("sending images", len(new))
    with ThreadPoolExecutor(workers) as pool:
        sent = [pool.submit(remote.upload, p.path, p.name, p.sha256, p.size) for p in new]
        try:
            for each in sent:
                each.result()
                progress.advance()
        finally:
            pool.shutdown(cancel_futures=True)  # After a failure, or Ctrl-C, the others are not sent.
    data_ids = remote.wait_for_files(names, {picture.sha256 for picture in pictures})
    assets = _assets(remote)
    lacking = [data_id for data_id in data_ids.values() if data_id not in assets]
    remote.add_assets(lacking)
    assets = _assets(remote) if lacking else assets
    wanted = {assets[data_ids[picture.sha256]]: picture for picture in pictures}
    labels = remote.label_ids(sorted({name for p in pictures for name in (*p.labels, *(b[0] for b in p.boxes))}))
    annotations = list(_changed(remote, wanted, labels, workers, progress))
    remote.annotate(annotations)
    return Pushed(
        target.dataset, target.version, len(wanted), len(new), len(lacking), len(annotations), left_out
    )  # fmt: skip


def _assets(remote: WritableVersion) -> dict[str, str]:
    """Asset ids by the id of the file that they show."""
    listed = (item for items, _ in remote.asset_pages() for item in items)
    return {str(item["data"]["id"]): str(item["id"]) for item in listed if item.get("data")}


def _changed(
    remote: WritableVersion,
    wanted: Mapping[str, _Picture],
    labels: Mapping[str, str],
    workers: int,
    progress: Progress,
) -> Iterator[dict[str, Any]]:
    """The annotations that are not there yet."""
    there = load_annotations(remote, workers, progress)
    for asset_id, picture in wanted.items():
        if _says(next(iter(there.get(asset_id, ())), None)) != picture.says():
            yield _annotation(asset_id, picture, labels)


def _says(annotation: Mapping[str, Any] | None) -> tuple[Any, ...] | None:
    """What an annotation says; None if there is none that is accepted."""
    if annotation is None or str(annotation.get("status", "")).upper() != "ACCEPTED":
        return None
    boxes = [(r.get("label"), *(r.get(side) for side in "xywh")) for r in annotation.get("rectangles") or ()]
    labels = [c.get("label") for c in annotation.get("classifications") or ()]
    return tuple(sorted(boxes, key=str)), tuple(sorted(labels, key=str))


def _annotation(asset_id: str, picture: _Picture, labels: Mapping[str, str]) -> dict[str, Any]:
    """As the platform takes it. An image that shows nothing gets one without shapes: it is accepted, too."""
    about = {"text": None, "attributes": None}
    rectangles = [
        {"x": x, "y": y, "w": width, "h": height, "label_id": labels[name], **about}
        for name, x, y, width, height in picture.boxes
    ]
    classifications = [{"label_id": labels[name], **about} for name in picture.labels]
    shapes: dict[str, Any] = {"polygons": [], "keypoints": [], "masks": [], "attributes": None}
    return {"asset_id": asset_id, "rectangles": rectangles, "classifications": classifications, **shapes}


def _pictures(items: Sequence[RawItem], task: str) -> Iterator[_Picture]:
    for image in labelled_images(items):
        boxes = tuple(box for label, corners in image.boxes if (box := _whole(label, corners)))
        if task == "detect" or image.labels:
            yield _Picture(
                path=image.path,
                name=image.name,
                sha256=hashlib.sha256(image.path.read_bytes()).hexdigest(),
                size=(image.width, image.height),
                boxes=boxes if task == "detect" else (),
                labels=image.labels if task == "classify" else (),
            )


def _whole(label: str, corners: tuple[float, float, float, float]) -> tuple[str, int, int, int, int] | None:
    """A box in whole pixels, which is what the platform takes; None if nothing of it is left."""
    left, top, right, bottom = (round(side) for side in corners)
    return (label, left, top, right - left, bottom - top) if right > left and bottom > top else None


def _distinct(pictures: Iterator[_Picture]) -> list[_Picture]:
    """Each content once: the first with an annotation. A file is one asset in a version."""
    found: dict[str, _Picture] = {}
    for picture in pictures:
        known = found.get(picture.sha256)
        if known is not None and known.says() != picture.says():
            say(f"warning: {picture.name} is the same image as {known.name}, with other labels: these are left out")
        found.setdefault(picture.sha256, picture)
    return list(found.values())


def _digest(pictures: Sequence[_Picture]) -> str:
    content = sorted([picture.sha256, *picture.says()] for picture in pictures)
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:_DIGITS]
