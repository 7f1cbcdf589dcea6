"""report.html: the report as a page that people read, in one file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from handful_trainer.dataset.preparation.assets import Asset, identical
from handful_trainer.dataset.report.thumbnails import Outline, Thumbnail, picture_of
from handful_trainer.dataset.sources.base import SPLITS
from handful_trainer.tasks.base import LabelFormat
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
def template() -> Template:
    """The page's template, compiled: a tenth of a second that can be spent while others work."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    pages = Environment(
        loader=PackageLoader("handful_trainer.dataset.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    return pages.get_template("page.html.j2")


def write_page(
    folder: Path, report: dict[str, Any], assets: Sequence[Asset], labels: LabelFormat, crew: WorkerPool
) -> None:
    """Write report.html into the dataset's folder; the crew draws its pictures."""
    titles = {**_FILE_TITLES, **labels.titles, **_IMAGE_TITLES}
    draw = partial(_drawn, crew, report["names"], labels)
    found = _defects(assets, report, labels, titles)
    defects = [draw(titles.get(name, name.replace("_", " ")), found[name], _EXAMPLES) for name in found]
    samples = [draw(split, _spread([a for a in assets if a.split == split]), _SAMPLES) for split in SPLITS]
    per_class = f"{labels.noun}_per_class"
    largest = max((n for split in SPLITS for n in report["splits"][split][per_class].values()), default=0)
    html = template().render(
        report=report,
        noun=labels.noun,
        splits=SPLITS,
        galleries=[finish() for finish in defects],
        samples=[finish() for finish in samples],
        largest=max(largest, 1),
    )
    (folder / PAGE).write_text(html, encoding="utf-8", errors="replace", newline="\n")


def _drawn(
    crew: WorkerPool,
    classes: Sequence[str],
    labels: LabelFormat,
    title: str,
    found: Sequence[tuple[Asset, str]],
    most: int,
) -> Callable[[], Gallery]:
    """Begin to draw the first of some assets; what is given back waits for the pictures."""
    shown = [(asset, tuple(labels.outlines(asset, classes)), note) for asset, note in found[:most]]
    pictures = crew.run(_pictures, shown, chunk=_AT_ONCE)
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
