"""How a classifier does on parts of the images: small ones, dark ones, blurred ones, those of one group."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from handful_trainer.dataset.errors import DamagedFileError
from handful_trainer.dataset.prepared import ASSETS, PreparedDataset
from handful_trainer.tasks.bootstrap import interval, resamples
from handful_trainer.tasks.classification.evaluation.appearance import Appearance
from handful_trainer.tasks.classification.evaluation.scores import Scores

FEWEST = 20
"""Images of a slice, below which it gets no numbers."""
_GROUPS = 20
"""Groups that are shown, the largest ones."""
_THIRDS = {
    "size": ("small", "medium", "large"),
    "brightness": ("dark", "medium", "bright"),
    "sharpness": ("blurred", "medium", "sharp"),
}
"""What images are sliced by, into thirds, and what these are called."""


class Slice(NamedTuple):
    """Some of the images."""

    by: str
    name: str
    places: NDArray[np.int64]
    """Which."""
    span: tuple[float, float] | None = None
    """Smallest and largest value in it."""


def find_slices(looks: Sequence[Appearance], groups: Sequence[str]) -> Iterator[Slice]:
    """Thirds by size, brightness and sharpness; then groups.

    Args:
        looks: of all images.
        groups: of all images; empty for an image of none.
    """
    for by, names in _THIRDS.items():
        values = np.asarray([getattr(look, by) for look in looks], np.float64)
        thirds = np.searchsorted(np.quantile(values, (1 / 3, 2 / 3)), values)  # Of equal values none is torn apart.
        for number in np.unique(thirds).tolist():
            places = np.flatnonzero(thirds == number)
            name = names[number] if len(places) < len(values) else "all alike"
            yield Slice(by, name, places, (float(values[places].min()), float(values[places].max())))
    for name, _ in Counter(filter(None, groups)).most_common(_GROUPS):
        yield Slice("group", name, np.flatnonzero(np.asarray(groups) == name))


def groups_of(dataset: PreparedDataset) -> Mapping[Path, str]:
    """The group of each image, as far as the prepared dataset knows it.

    Raises:
        DamagedFileError: its list of assets is damaged.
    """
    listed = dataset.root / ASSETS
    if not dataset.report or not listed.is_file():
        return {}
    try:
        entries = [json.loads(line) for line in listed.read_text(encoding="utf-8").splitlines()]
        return {dataset.root / e["image"]: str(e["group"]) for e in entries if e.get("group") and e["image"]}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise DamagedFileError(f"{listed} is damaged", "prepare the dataset again") from None


def slice_scores(part: Slice, scores: Scores, all_images: int) -> dict[str, Any]:
    """Accuracy and macro F1 of a slice; null where it has too few images.

    Args:
        part: the slice.
        scores: of its images.
        all_images: how many there are altogether.
    """
    found: dict[str, Any] = {"by": part.by, "name": part.name, "images": len(part.places)}
    if part.span:
        found |= {"from": part.span[0], "to": part.span[1]}
    if len(part.places) < FEWEST:
        few = f"fewer than {FEWEST} images"
        return found | {"accuracy": None, "interval": None, "macro_f1": None, "why": few}
    draws, once = resamples(len(part.places)), np.ones((1, len(part.places)), np.int64)
    named, drawn = scores.named(once), scores.named(draws)["accuracy"]()
    return found | {
        "accuracy": float(named["accuracy"]()[0]),
        "interval": list(interval(drawn, len(part.places))),
        "macro_f1": float(named["macro_f1"]()[0]),
        "share": len(part.places) / all_images,
    }


def without_groups(slices: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The slices with numbers for the names of groups, which may be people's: packages go to others."""
    groups = [part["name"] for part in slices if part["by"] == "group"]
    return [
        {**part, "name": f"group {groups.index(part['name']) + 1}"} if part["by"] == "group" else part
        for part in slices
    ]
