"""How often a verdict is wrong: false alarms without any change, and changes found, on answers to real images.

    python tests/benchmarks/drift.py [--data ../shared/data] [--windows 2000] [--changes 200] [--json]

The shipped starter model, with an embedding as packages have today, answers images of fingers-1500. In each of 100
splits, 300 of them are the reference, as packaging takes them, and windows are drawn from the other 1,200, with
replacement: none shares an image with its reference, and both are samples, as in life. A window of 5,000 rows has each
image four times, which the monitor has to notice. The rows that it draws change in one way each:

- darker by 40 %, blurred by 3 pixels, another camera (warmer by 8 %, another tone curve, darker corners, noise);
- a class is three times as common: images with it are drawn more often, each class in its turn;
- strange pictures (bean leaves) are 10 %: as they are, and made alike in size and JPEG quality (`--shares` has more);
- other people and another room: fingers-office-1000.

`false_alarms` is the share of windows with the verdict `changed`: they differ in a feature in which the window before
of the same split differs as well. `false_alarms_single` is the share that differ at all. `false_alarms_scenes` is the
first for a camera that lingers: each image is followed by one that resembles it, for ten rows on average. `detected` is
the share that two windows of 250 rows find, 500 answers. `week_of_replay` is `watch` itself, with time compressed: 672
windows of 15 minutes without a change, then windows of darker images until it says `changed`. Beside it, on the same
windows: a Kolmogorov-Smirnov test (chi-square for words) of each feature at 0.05, and, where it is installed,
Evidently's DataDriftPreset, where any column drifted and where half of them did, as its default has it.

Answers are computed once and kept in --cache. Ctrl-C ends it with what was measured so far: `windows` says how many.
--seed 7 is for reports, others are for trying.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from scipy.stats import chi2_contingency, ks_2samp

from benchmarks.drift_rows import CHANGES, STRANGE, Row, default_cache, load
from benchmarks.drift_week import week_of_replay
from handful_core.profile import Feature
from handful_monitor.domain.columns import Column
from handful_monitor.domain.comparison import Reference
from handful_monitor.domain.effective import independent_rows
from handful_monitor.domain.null import NullDistributions
from handful_monitor.domain.window import Window, columns_of
from handful_monitor.html import find_evidently

_SIZES = (200, 500, 1000, 5000)
_SPLITS = 100
_REFERENCE = 300
_PAIR = 250
_STRANGE = 0.1
_TIMES = 3
_NEIGHBOURS, _STAY = 10, 0.9
"""A camera that lingers goes on to one of so many images that resemble it, and else to any."""
_EVIDENTLY = 10
"""One split in so many is shown to Evidently, which takes seconds to start."""
_SCENES = 4
"""One window in so many is of such a camera."""


class Material(NamedTuple):
    """Answers to all images, and which usual ones show which class."""

    features: tuple[Feature, ...]
    columns: dict[str, dict[str, Column]]
    """By kind of image, then by feature."""
    classes: list[set[str]]


class Sample(NamedTuple):
    """Some rows, by kind of image and place."""

    kinds: list[str]
    places: Any


Draw = Callable[[int], Sample]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[3] / "shared" / "data")
    parser.add_argument("--cache", type=Path, default=default_cache())
    parser.add_argument("--windows", type=int, default=2000, help="without any change, of each size")
    parser.add_argument("--changes", type=int, default=200, help="pairs of windows for each change")
    parser.add_argument("--beside", type=int, default=400, help="windows of each kind for the tests beside it")
    parser.add_argument("--shares", type=float, nargs="*", default=[], help="of strange pictures, more than 10 %%")
    parser.add_argument("--images", type=int, default=1500)
    parser.add_argument("--evidently", type=Path, help="a Python that has Evidently, by default of .venv-evidently")
    parser.add_argument("--evidently-windows", type=int, default=50, help="of each size and change, for Evidently")
    parser.add_argument("--week", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    words = parser.parse_args()
    words.evidently = find_evidently(words.evidently)
    result = measure(words)
    print(json.dumps(result, indent=2) if words.json else _table(result))


def measure(words: argparse.Namespace) -> dict[str, Any]:
    """Everything, split by split."""
    began, processor = time.perf_counter(), time.process_time()
    features, rows, labels = load(words.data, words.cache, words.images, words.jobs)
    splits = _SPLITS if words.windows or words.changes else 0
    parts = [range(first, splits, words.jobs) for first in range(words.jobs)]
    tasks = [(part, features, rows, labels, words) for part in parts]
    if words.jobs == 1:
        found = [_splits(tasks[0])]
    else:
        with multiprocessing.get_context("spawn").Pool(words.jobs) as pool:
            found = pool.map(_splits, tasks)
    counts: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
    for one in found:
        for name, cells in one.items():
            for key, (hits, of) in cells.items():
                counts[name][key][0] += hits
                counts[name][key][1] += of
    shares = {name: {key: hits / of for key, (hits, of) in cells.items()} for name, cells in counts.items()}
    return {
        **shares,
        "windows": {name: {key: of for key, (_, of) in cells.items()} for name, cells in counts.items()},
        "week_of_replay": week_of_replay(features, rows, words.seed) if words.week else None,
        "processor": _processor(),
        "seconds": round(time.perf_counter() - began, 1),
        "processor_seconds": round(time.process_time() - processor, 1),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.processor())


def _splits(task: tuple[range, Any, dict[str, list[Row]], list[list[str]], argparse.Namespace]) -> Any:
    """Some splits, which share what statistics are by chance."""
    part, features, rows, labels, words = task
    columns = {kind: columns_of(of, np.ones(len(of)), features) for kind, of in rows.items()}
    material = Material(features, columns, [set(names) for names in labels])
    counts: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
    null, neighbours = NullDistributions(), _neighbours(material)
    with contextlib.suppress(KeyboardInterrupt):
        for number in part:
            Split(number, material, neighbours, null, counts, words).run()
            print(f"split {number + 1} of {_SPLITS}", file=sys.stderr)
    return {name: dict(cells) for name, cells in counts.items()}


def _neighbours(material: Material) -> Any:
    """(images, k): of each usual image those that resemble it, the nearest first, by what its pixels and answer say."""
    usual = material.columns["usual"]
    numbers = [usual[f.name].values for f in material.features if f.kind != "category"]
    values = np.array([np.where(np.isfinite(each), each, 0) for each in numbers]).T
    values = (values - values.mean(axis=0)) / np.maximum(values.std(axis=0), 1e-9)
    squares = (values**2).sum(axis=1)
    return np.argsort(squares[:, None] + squares - 2 * values @ values.T, axis=1)


class Split:
    """One reference, and windows of what is not in it."""

    def __init__(
        self, number: int, material: Material, neighbours: Any, null: NullDistributions, counts: Any,
        words: argparse.Namespace,
    ) -> None:  # fmt: skip
        self.number, self.material, self.words, self.counts = number, material, words, counts
        self.random = np.random.default_rng([words.seed, number])
        order = self.random.permutation(len(material.classes))
        self.reference_places, self.others = order[:_REFERENCE], order[_REFERENCE:]
        usual = material.columns["usual"]
        values = {f.name: _plain(usual[f.name].take(self.reference_places)) for f in material.features}
        self.reference = Reference(material.features, values, null=null)
        self.graph = _graph(neighbours, self.others)
        self.turns = 0

    def run(self) -> None:
        """All windows of this split."""
        kept: dict[str, list[Sample]] = {}
        for size in _SIZES:
            windows = self._part(self.words.windows)
            samples = kept[f"false_alarms {size}"] = self._unchanged("false_alarms", size, windows, self._usual)
            self._beside("false_alarms", str(size), samples)
            self._unchanged("false_alarms_scenes", size, self._part(self.words.windows // _SCENES), self._scenes)
        for change, draw in self._changes():
            pairs = [(draw(_PAIR), draw(_PAIR)) for _ in range(self._part(self.words.changes))]
            for a, b in pairs:
                self._count("detected", change, bool(self._differing(a) & self._differing(b)))
            both = [Sample(a.kinds + b.kinds, np.concatenate([a.places, b.places])) for a, b in pairs]
            self._beside("detected", change, both)
            kept[f"detected {change}"] = both
        if self.words.evidently and self.number % _EVIDENTLY == 0:
            self._evidently(kept)

    def _part(self, total: int) -> int:
        """What this split does of so many."""
        return total * (self.number + 1) // _SPLITS - total * self.number // _SPLITS

    def _unchanged(self, name: str, size: int, windows: int, draw: Draw) -> list[Sample]:
        """Windows that follow each other; the first one needs one before it."""
        samples = [draw(size) for _ in range(windows + 1)] if windows else []
        before: set[str] = set()
        for i, sample in enumerate(samples):
            differing = self._differing(sample)
            if i:
                self._count(name, str(size), bool(before & differing))
                self._count(f"{name}_single", str(size), bool(differing))
            before = differing
        return samples[1:]

    def _count(self, name: str, key: str, hit: bool) -> None:
        cell = self.counts[name][key]
        cell[0] += hit
        cell[1] += 1

    def _usual(self, size: int) -> Sample:
        return Sample(["usual"] * size, self.random.choice(self.others, size))

    def _scenes(self, size: int) -> Sample:
        """A walk from image to image that visits each as often in the long run (Metropolis and Hastings)."""
        place, places = int(self.random.integers(len(self.others))), []
        for jump, chance in self.random.random((size, 2)):
            if jump > _STAY:
                place = int(self.random.integers(len(self.others)))
            else:
                next_to = self.graph[place]
                other = int(next_to[self.random.integers(len(next_to))])
                place = other if chance * len(self.graph[other]) < len(next_to) else place
            places.append(self.others[place])
        return Sample(["usual"] * size, np.array(places))

    def _changes(self) -> Iterator[tuple[str, Draw]]:
        for name in CHANGES:
            yield name, partial(self._alike, name)
        yield "class three times as common", self._common
        for share in (_STRANGE, *self.words.shares):
            for name in STRANGE:
                yield f"{name}, {share:.0%}", partial(self._strange, name, share)
        people = len(self.material.columns["other people"]["brightness"])
        yield "other people", lambda size: Sample(["other people"] * size, self.random.integers(0, people, size))

    def _common(self, size: int) -> Sample:
        """Images with a class have three times their usual share; both windows of a pair have the same class."""
        names = sorted(set().union(*self.material.classes))
        turn = (self.number + self.turns // 2) % len(names)
        self.turns += 1
        has = np.array([names[turn] in self.material.classes[place] for place in self.others])
        share = min(0.95, _TIMES * has.mean())
        weights = np.where(has, share / has.sum(), (1 - share) / (~has).sum())
        return Sample(["usual"] * size, self.random.choice(self.others, size, p=weights))

    def _alike(self, kind: str, size: int) -> Sample:
        return Sample([kind] * size, self.random.choice(self.others, size))

    def _strange(self, kind: str, share: float, size: int) -> Sample:
        strange = self.random.random(size) < share
        places = self.random.choice(self.others, size)
        places[strange] = self.random.integers(0, len(self.material.columns[kind]["brightness"]), strange.sum())
        return Sample([kind if one else "usual" for one in strange], places)

    def _columns(self, sample: Sample) -> dict[str, Column]:
        kinds, found = np.array(sample.kinds), {}
        for feature in self.material.features:
            parts = self.material.columns
            wide = [parts[kind][feature.name].values for kind in set(sample.kinds)]
            values = np.empty(len(kinds), np.result_type(*wide))
            for kind in set(sample.kinds):
                values[kinds == kind] = parts[kind][feature.name].values[sample.places[kinds == kind]]
            found[feature.name] = Column(feature.kind, values, np.ones(len(kinds)))
        return found

    def _differing(self, sample: Sample) -> set[str]:
        size = len(sample.kinds)
        effective = independent_rows(np.ones(size), list(zip(sample.kinds, sample.places.tolist(), strict=True)))
        found = self.reference.compare(Window(self._columns(sample), size, effective))
        return {f.feature.name for f in found.features if f.differs}

    def _beside(self, name: str, key: str, samples: Sequence[Sample]) -> None:
        """Kolmogorov-Smirnov tests at 0.05, of some of the windows."""
        for sample in samples[: self._part(self.words.beside)]:
            self._count(f"{name}_ks", key, self._ks(sample))

    def _ks(self, sample: Sample) -> bool:
        """Whether any feature's test says so at 0.05."""
        columns = self._columns(sample)
        for feature in self.material.features:
            then = self.material.columns["usual"][feature.name].take(self.reference_places).values
            if _p(feature, then, columns[feature.name].values) < 0.05:
                return True
        return False

    def _evidently(self, kept: dict[str, list[Sample]]) -> None:
        """Evidently's preset on some of the same windows, in a process of its own."""
        most, features = self.words.evidently_windows * _EVIDENTLY // _SPLITS, self.material.features
        chosen = [(key, sample) for key, samples in kept.items() for sample in samples[:most]]
        if not chosen:
            return
        usual = self.material.columns["usual"]
        content = {
            "numbers": [f.name for f in features if f.kind != "category"],
            "words": [f.name for f in features if f.kind == "category"],
            "reference": {f.name: _plain(usual[f.name].take(self.reference_places)) for f in features},
            "windows": [{f.name: _plain(self._columns(s)[f.name]) for f in features} for _, s in chosen],
        }
        with tempfile.TemporaryDirectory() as folder:
            (data := Path(folder) / "data.json").write_text(json.dumps(content), encoding="utf-8")
            program = Path(__file__).parent / "contenders" / "drifted.py"
            command = [self.words.evidently, "-I", "-W", "ignore", program, data]
            environment = os.environ | {"DO_NOT_TRACK": "1"}
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        for (key, _), share in zip(chosen, json.loads(done.stdout), strict=True):
            name, _, cell = key.partition(" ")
            self._count(f"{name}_evidently_any_column", cell, share > 0)
            self._count(f"{name}_evidently_preset", cell, share >= 0.5)


def _graph(neighbours: Any, others: Any) -> list[Any]:
    """Of each of the others those that it resembles, or that it is resembled by: (k,) places among the others."""
    place = {image: i for i, image in enumerate(others.tolist())}
    graph: list[set[int]] = [set() for _ in place]
    for i, image in enumerate(others.tolist()):
        near = [place[n] for n in neighbours[image].tolist() if n in place and n != image][:_NEIGHBOURS]
        for j in near:
            graph[i].add(j)
            graph[j].add(i)
    return [np.array(sorted(each)) for each in graph]


def _plain(column: Column) -> list[Any]:
    values = column.values.tolist()
    return values if column.kind == "category" else [v if np.isfinite(v) else None for v in values]


def _p(feature: Feature, then: Any, now: Any) -> float:
    if feature.kind == "category":
        names = sorted({*then.tolist(), *now.tolist()})
        table = np.array([[np.sum(values == name) for name in names] for values in (then, now)])
        return 1.0 if len(names) < 2 else float(chi2_contingency(table).pvalue)
    then, now = then[np.isfinite(then)], now[np.isfinite(now)]
    return float(ks_2samp(then, now, method="asymp").pvalue) if len(then) and len(now) else 1.0


def _table(result: dict[str, Any]) -> str:
    lines = [f"{result['processor']}, {result['processor_seconds']} s of a processor"]
    for begin in ("false_alarms", "detected"):
        names = sorted(name for name in result if name.startswith(begin))
        lines += ["", f"| {begin} | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
        cells: Sequence[str] = list(result[begin])
        lines += [
            f"| {c} | " + " | ".join(f"{result[n].get(c, float('nan')):.4f}" for n in names) + " |" for c in cells
        ]
    return "\n".join([*lines, "", f"week of replay: {json.dumps(result['week_of_replay'])}"])


if __name__ == "__main__":
    main()
