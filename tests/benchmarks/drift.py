"""How often a verdict is wrong: false alarms without any change, and changes found, on answers to real images.

    python tests/benchmarks/drift.py [--data ../shared/data] [--windows 2000] [--changes 200] [--json]

The shipped starter model answers images of fingers-1500. In each of 40 splits, 300 of them are the reference, as
packaging would take them, and windows are drawn from the other 1,200, with replacement: none shares an image with its
reference, and both are samples, as in life. A window of 5,000 rows has each image four times, which the monitor has to
notice. The rows that it draws change in one way each:

- darker by 40 %, blurred by 3 pixels, another camera (warmer by 8 %, another tone curve, darker corners, noise);
- a class is three times as common: images with it are drawn more often, each class in its turn;
- strange pictures (bean leaves) are 10 %: as they are, and made alike in size and JPEG quality;
- other people and another room: fingers-office-1000.

`false_alarms` is the share of windows with the verdict `changed`: they differ in a feature in which another window of
the same split differs, as two in a row do. `false_alarms_single` is the share that differ at all. `detected` is the
share that two windows of 250 rows find, 500 answers. These are of the starter as it is shipped, without an embedding;
`…_with_embedding` of what packages have that are made today. Beside it, on the same windows without an embedding: a
Kolmogorov-Smirnov test (chi-square for words) of each feature at 0.05, and with --evidently PYTHON, on some windows,
Evidently's DataDriftPreset, where any column drifted and where half of them did, as its default has it.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from drift_rows import CHANGES, STRANGE, Row, default_cache, load
from scipy.stats import chi2_contingency, ks_2samp

from handful_core.profile import Feature
from handful_monitor.domain.columns import Column
from handful_monitor.domain.comparison import Reference
from handful_monitor.domain.effective import independent_rows
from handful_monitor.domain.window import Window, columns_of

_SIZES = (200, 500, 1000, 5000)
_SPLITS = 40
_REFERENCE = 300
_PAIR = 250
_STRANGE = 0.1
_TIMES = 3


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[3] / "shared" / "data")
    parser.add_argument("--cache", type=Path, default=default_cache())
    parser.add_argument("--windows", type=int, default=2000, help="without any change, of each size")
    parser.add_argument("--changes", type=int, default=200, help="pairs of windows for each change")
    parser.add_argument("--images", type=int, default=1500)
    parser.add_argument("--evidently", type=Path, help="a Python that has Evidently")
    parser.add_argument("--evidently-windows", type=int, default=100, help="of each size and change, for Evidently")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    words = parser.parse_args()
    result = measure(words)
    print(json.dumps(result, indent=2) if words.json else _table(result))


def measure(words: argparse.Namespace) -> dict[str, Any]:
    """Everything, split by split."""
    features, rows, labels = load(words.data, words.cache, words.images, words.jobs)
    tasks = [(split, features, rows, labels, words) for split in range(_SPLITS)]
    with multiprocessing.get_context("spawn").Pool(words.jobs) as pool:
        found = list(pool.imap_unordered(_split, tasks))
    counts: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
    for one in found:
        for name, cells in one.items():
            for key, (hits, of) in cells.items():
                counts[name][key][0] += hits
                counts[name][key][1] += of
    shares = {name: {key: hits / of for key, (hits, of) in cells.items()} for name, cells in counts.items()}
    return {**shares, "windows": {key: of for key, (_, of) in counts["false_alarms_single"].items()}}


def _split(task: tuple[int, Any, dict[str, list[Row]], list[list[str]], argparse.Namespace]) -> Any:
    split, features, rows, labels, words = task
    columns = {kind: columns_of(of, np.ones(len(of)), features) for kind, of in rows.items()}
    return Split(split, Material(features, columns, [set(names) for names in labels])).run(words)


class Split:
    """One reference, and windows of what is not in it."""

    def __init__(self, number: int, material: Material) -> None:
        self.material = material
        self.random = np.random.default_rng([7, number])
        order = self.random.permutation(len(material.classes))
        self.reference_places, self.others = order[:_REFERENCE], order[_REFERENCE:]
        usual = material.columns["usual"]
        values = {f.name: _plain(usual[f.name].take(self.reference_places)) for f in material.features}
        self.features = tuple(f for f in material.features if not f.name.startswith("embedding"))
        self.references = {"": Reference(self.features, values)}
        if len(self.features) < len(material.features):
            self.references["_with_embedding"] = Reference(material.features, values)
        self.turns = 2 * number
        self.counts: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))

    def run(self, words: argparse.Namespace) -> dict[str, dict[str, list[int]]]:
        """All windows of this split."""
        kept: dict[str, list[Sample]] = {}
        for size in _SIZES:
            samples = [self._usual(size) for _ in range(max(2, words.windows // _SPLITS))]
            for variant, reference in self.references.items():
                differing = [self._differing(sample, reference) for sample in samples]
                for i, found in enumerate(differing):
                    self._count(f"false_alarms{variant}", size, bool(found & differing[i - 1]))
                    self._count(f"false_alarms_single{variant}", size, bool(found))
            for sample in samples:
                self._count("false_alarms_ks", size, self._ks(sample))
            kept[f"false_alarms {size}"] = samples
        for change, draw in self._changes():
            pairs = [(draw(_PAIR), draw(_PAIR)) for _ in range(max(1, words.changes // _SPLITS))]
            both = [Sample(a.kinds + b.kinds, np.concatenate([a.places, b.places])) for a, b in pairs]
            for variant, reference in self.references.items():
                for (a, b), sample in zip(pairs, both, strict=True):
                    twice = self._differing(a, reference) & self._differing(b, reference)
                    self._count(f"detected{variant}", change, bool(twice))
                    self._count(f"detected_single_500{variant}", change, bool(self._differing(sample, reference)))
            for sample in both:
                self._count("detected_ks", change, self._ks(sample))
            kept[f"detected {change}"] = both
        if words.evidently:
            self._evidently(words, kept)
        return {name: dict(cells) for name, cells in self.counts.items()}

    def _count(self, name: str, key: object, hit: bool) -> None:
        cell = self.counts[name][str(key)]
        cell[0] += hit
        cell[1] += 1

    def _usual(self, size: int) -> Sample:
        return Sample(["usual"] * size, self.random.choice(self.others, size))

    def _changes(self) -> Iterator[tuple[str, Any]]:
        for name in CHANGES:
            yield name, lambda size, name=name: Sample([name] * size, self.random.choice(self.others, size))
        yield "class three times as common", self._common
        for name in STRANGE:
            yield f"{name}, 10 %", lambda size, name=name: self._strange(size, name)
        people = len(self.material.columns["other people"]["brightness"])
        yield "other people", lambda size: Sample(["other people"] * size, self.random.integers(0, people, size))

    def _common(self, size: int) -> Sample:
        """Images with a class have three times their usual share; both windows of a pair have the same class."""
        names = sorted(set().union(*self.material.classes))
        turn = self.turns // 2 % len(names)
        self.turns += 1
        has = np.array([names[turn] in self.material.classes[place] for place in self.others])
        share = min(0.95, _TIMES * has.mean())
        weights = np.where(has, share / has.sum(), (1 - share) / (~has).sum())
        return Sample(["usual"] * size, self.random.choice(self.others, size, p=weights))

    def _strange(self, size: int, kind: str) -> Sample:
        strange = self.random.random(size) < _STRANGE
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

    def _differing(self, sample: Sample, reference: Reference) -> set[str]:
        size = len(sample.kinds)
        effective = independent_rows(np.ones(size), list(zip(sample.kinds, sample.places.tolist(), strict=True)))
        found = reference.compare(Window(self._columns(sample), size, effective))
        return {f.feature.name for f in found.features if f.differs}

    def _ks(self, sample: Sample) -> bool:
        """Whether any feature's test says so at 0.05."""
        columns = self._columns(sample)
        for feature in self.features:
            then = self.material.columns["usual"][feature.name].take(self.reference_places).values
            if _p(feature, then, columns[feature.name].values) < 0.05:
                return True
        return False

    def _evidently(self, words: argparse.Namespace, kept: dict[str, list[Sample]]) -> None:
        """Evidently's preset on some of the same windows, in a process of its own."""
        most = max(1, words.evidently_windows // _SPLITS)
        chosen = [(key, sample) for key, samples in kept.items() for sample in samples[:most]]
        usual = self.material.columns["usual"]
        content = {
            "numbers": [f.name for f in self.features if f.kind != "category"],
            "words": [f.name for f in self.features if f.kind == "category"],
            "reference": {f.name: _plain(usual[f.name].take(self.reference_places)) for f in self.features},
            "windows": [{f.name: _plain(self._columns(s)[f.name]) for f in self.features} for _, s in chosen],
        }
        with tempfile.TemporaryDirectory() as folder:
            (data := Path(folder) / "data.json").write_text(json.dumps(content), encoding="utf-8")
            program = Path(__file__).parent / "contenders" / "drifted.py"
            command = [words.evidently, "-I", "-W", "ignore", program, data]
            environment = os.environ | {"DO_NOT_TRACK": "1"}
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        for (key, _), share in zip(chosen, json.loads(done.stdout), strict=True):
            name, _, cell = key.partition(" ")
            self._count(f"{name}_evidently_any_column", cell, share > 0)
            self._count(f"{name}_evidently_preset", cell, share >= 0.5)


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
    lines = []
    for begin in ("false_alarms", "detected"):
        names = sorted(name for name in result if name.startswith(begin))
        lines += ["", f"| {begin} | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
        cells: Sequence[str] = list(result[begin])
        lines += [
            f"| {c} | " + " | ".join(f"{result[n].get(c, float('nan')):.4f}" for n in names) + " |" for c in cells
        ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
