"""What a version holds, as the platform lists it: its assets, and their annotations."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from handful_core.errors import DataError
from handful_trainer.dataset.errors import AnnotationError
from handful_trainer.dataset.picsellia.api import RemoteVersion
from handful_trainer.dataset.picsellia.progress import Progress
from handful_trainer.dataset.sources.fields import expect_file_name, expect_object, expect_text

_STORED_FIELDS = ("id", "filename", "object_name", "type", "content_type", "upload_status", "meta", "custom_metadata")
"""What is written down of an asset's data. Not its address: that is signed, whoever has it has the file."""
_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
_WHERE = "Picsellia's list of assets"
_CHUNK_SIZE = 100
"""Annotations a call: what the SDK asks for, too."""
_PARALLEL_CALLS = 4
"""Calls at once."""


@dataclass(slots=True)
class ListedAsset:
    """One asset."""

    id: str
    data: dict[str, Any]
    address: str | None
    """Where its file is, for an hour."""
    tags: list[str] = field(default_factory=list)
    renewed: bool = False
    """Was a new address requested already?"""

    @property
    def data_id(self) -> str:
        """Id of the file in the datalake."""
        return str(self.data.get("id", ""))

    @property
    def content(self) -> str:
        """What changes when the file does."""
        return f"{self.data_id} {self.data.get('object_name', '')}"

    @property
    def file_name(self) -> str:
        """Its file here: named by the asset's id, as file names need not be unique."""
        suffix = PurePath(str(self.data.get("filename", ""))).suffix.lower()
        return f"{self.id}{suffix if suffix in _SUFFIXES else '.jpg'}"

    @property
    def why_no_image(self) -> str:
        """Why there is nothing to download; empty if there is."""
        if self.data.get("type", "IMAGE") != "IMAGE":
            return f"it is of the type {self.data['type']}"
        status = self.data.get("upload_status", "DONE")
        return "" if status == "DONE" else f"its upload is {status}"

    def as_json(self) -> dict[str, Any]:
        """Its entry in assets.json."""
        kept = {key: self.data[key] for key in _STORED_FIELDS if self.data.get(key) is not None}
        return {"id": self.id, "data": kept} | ({"tags": self.tags} if self.tags else {})


def list_assets(remote: RemoteVersion, report: Callable[[int, int], object]) -> list[ListedAsset]:
    """All assets with their tags, sorted by id.

    Args:
        remote: the version.
        report: told how many are listed, and of how many.

    Raises:
        DataError: there is none, or fewer than the platform says there are.
    """
    found: dict[str, ListedAsset] = {}
    count = 0
    for items, count in remote.asset_pages():
        for item in items:
            asset = _asset(item)
            found[asset.id] = asset
        report(len(found), count)
    if len(found) < count:
        raise DataError(
            f"Picsellia says that there are {count} assets and lists {len(found)}",
            "somebody may be changing it: try again",
        )
    if not found:
        raise DataError("this version of the dataset has no assets", "add images to it in Picsellia")
    for tag in remote.tags():
        for items, _ in remote.asset_pages(_tagged(tag)):
            for item in items:
                asset_id = _asset(item).id
                if asset_id in found:
                    found[asset_id].tags.append(tag)
    return [found[asset_id] for asset_id in sorted(found)]


def load_annotations(remote: RemoteVersion, workers: int, progress: Progress) -> dict[str, list[Any]]:
    """All annotations by asset id, as the SDK's `load_annotations` gives them.

    The SDK puts the answers together as they come in: of an asset whose annotations come in two answers the newest need
    not be the first. Here they keep the order of the list of ids, or that of their times where they have some.

    Raises:
        DataError: the platform lists annotations that it does not hand out.
    """
    ids = remote.annotation_ids()
    chunks = [ids[start : start + _CHUNK_SIZE] for start in range(0, len(ids), _CHUNK_SIZE)]
    progress.step("loading annotations", len(ids))
    found: dict[str, list[Any]] = defaultdict(list)
    received = 0
    with ThreadPoolExecutor(min(workers, _PARALLEL_CALLS), thread_name_prefix="handful-pull") as pool:
        for chunk, answer in zip(chunks, pool.map(remote.annotations, chunks), strict=True):
            received += len(answer)
            for annotation in answer:
                asset_id = expect_text("Picsellia's annotations", "asset_id", annotation.pop("asset_id", None))
                found[asset_id].append(annotation)
            progress.advance(len(chunk))
    if received < len(ids):
        raise DataError(
            f"Picsellia lists {len(ids)} annotations and gives {received}", "somebody may be changing them: try again"
        )
    return {asset_id: _newest_first(found[asset_id]) for asset_id in sorted(found)}


def _asset(item: Any) -> ListedAsset:
    expect_object(_WHERE, item)
    asset_id = expect_file_name(_WHERE, "id", item.get("id"))
    where = f"{_WHERE}, asset {asset_id}"
    data = expect_object(f"{where}: data", item.get("data"))
    if not expect_text(where, "data.id", data.get("id")).isprintable():
        raise AnnotationError(f"{where}: data.id is no id", "look at it in Picsellia")
    address = data.get("presigned_url")
    return ListedAsset(asset_id, data, address if isinstance(address, str) else None)


def _tagged(tag: str) -> str:
    """The query for the assets that have a tag."""
    quoted = tag.replace('"', '\\"')
    return f'tags.name in ("{quoted}")'


def _newest_first(annotations: list[Any]) -> list[Any]:
    times = [annotation.get("created_at") for annotation in annotations]
    if len(times) < 2 or not all(isinstance(time, str) for time in times):
        return annotations
    return sorted(annotations, key=lambda annotation: str(annotation["created_at"]), reverse=True)
