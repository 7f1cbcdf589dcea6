"""The annotations of a version, of each asset the newest first."""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from handful_core.errors import DataError
from handful_trainer.dataset.picsellia.progress import Progress
from handful_trainer.dataset.picsellia.remote import RemoteVersion
from handful_trainer.dataset.sources.fields import text

_CHUNK = 100
"""Annotations a call: what the SDK asks for, too."""
_CALLS = 4
"""Calls at once."""


def load_annotations(remote: RemoteVersion, workers: int, progress: Progress) -> dict[str, list[Any]]:
    """All annotations by asset id, as the SDK's `load_annotations` gives them.

    The SDK puts the answers together as they come in: of an asset whose annotations come in two answers the newest need
    not be the first. Here they keep the order of the list of ids, or that of their times where they have some.

    Raises:
        DataError: the platform lists annotations that it does not hand out.
    """
    ids = remote.annotation_ids()
    chunks = [ids[start : start + _CHUNK] for start in range(0, len(ids), _CHUNK)]
    progress.step("loading annotations", len(ids))
    found: dict[str, list[Any]] = defaultdict(list)
    came = 0
    with ThreadPoolExecutor(min(workers, _CALLS), thread_name_prefix="handful-pull") as pool:
        for chunk, answer in zip(chunks, pool.map(remote.annotations, chunks), strict=True):
            came += len(answer)
            for annotation in answer:
                asset_id = text("Picsellia's annotations", "asset_id", annotation.pop("asset_id", None))
                found[asset_id].append(annotation)
            progress.advance(len(chunk))
    if came < len(ids):
        raise DataError(
            f"Picsellia lists {len(ids)} annotations and gives {came}", "somebody may be changing them: try again"
        )
    return {asset_id: _newest_first(found[asset_id]) for asset_id in sorted(found)}


def _newest_first(annotations: list[Any]) -> list[Any]:
    times = [annotation.get("created_at") for annotation in annotations]
    if len(times) < 2 or not all(isinstance(time, str) for time in times):
        return annotations
    return sorted(annotations, key=lambda annotation: str(annotation["created_at"]), reverse=True)
