"""Does it pay to choose? 100 reviewed pictures chosen by us against 100 at random, and what label issues find.

    python tests/benchmarks/loop.py [--data ../shared/data] [--seeds 3] [--only gain] [--json]

The loop is played with the bean leaves of `beans-field`, whose labels are known and hidden. A classifier begins with
200 images. 100 more come from some 560 others: any, or those that capture would keep, the unsurest first and no two of
one scene (`handful_core.review.choice`). Both get their true labels, as a person would give them. Then it is trained
again, and the gain is that of the accuracy on 400 images that nobody trains on. `gain_over_chance` is the mean gain of
ours by the mean gain of chance, which is drawn ten times for each seed.

The classifier is a logistic regression on features of ImageNet that stay as they are (EfficientNet-Lite0). That takes
minutes instead of a day, and is not `handful train`: a network that is trained as a whole gains other amounts.

`label_issues_precision` is what tests/benchmarks/label_issues.py says.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import label_issues
from handful_core.review.choice import Scenes, scene_vector, uncertainty
from handful_core.vision.decode import decode_image
from handful_core.vision.prediction import Prediction
from handful_trainer.dataset.preparation.prepare import prepare
from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.tasks.classification import label_issues as by_class

START, MORE, TEST, DRAWS = 200, 100, 400, 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[3] / "shared" / "data")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", choices=("gain",), help="without label issues")
    parser.add_argument("--json", action="store_true")
    words = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="handful-benchmark-") as name:
        result = gain(words.data, Path(name), words.seeds)
        if words.only is None:
            result |= label_issues.measure(words.data, Path(name), words.seeds)
    print(json.dumps(result, indent=2) if words.json else result)


def gain(data: Path, home: Path, seeds: int) -> dict[str, Any]:
    """Gains in test accuracy, ours and that of chance."""
    began = time.process_time()
    config = DatasetConfig.model_validate({"source": "folder", "path": data / "beans-field"})
    samples = by_class.samples_of(prepare(config, home, task="classify"))
    rows = by_class.rows_of(by_class.imagenet_features(), [path for path, _, _ in samples])
    labels = np.asarray([label for _, _, label in samples])
    scenes = np.stack([scene_vector(decode_image(path.read_bytes())) for path, _, _ in samples])
    ours, chance, starts = list[float](), list[float](), list[float]()
    for seed in range(seeds):
        start, chosen, drawn = _once(rows, scenes, labels, np.random.default_rng(seed))
        starts.append(start)
        ours.append(chosen - start)
        chance.append(drawn - start)
        print(f"seed {seed}: {start:.4f}, ours {chosen:.4f}, chance {drawn:.4f}", file=sys.stderr, flush=True)
    return {
        "gain_over_chance": round(statistics.mean(ours) / statistics.mean(chance), 3),
        "gain": {
            "start_accuracy": [round(value, 4) for value in starts],
            "ours": [round(value, 4) for value in ours],
            "chance": [round(value, 4) for value in chance],
            "start": START, "more": MORE, "test": TEST, "pool": len(labels) - START - TEST,
            "cpu_seconds": round(time.process_time() - began, 1),
        },
    }  # fmt: skip


def _once(
    rows: NDArray[np.float32], scenes: NDArray[np.float32], labels: NDArray[np.int64], random: np.random.Generator
) -> tuple[float, float, float]:
    """Test accuracy of the start, with our pictures, and with any: the mean of ten draws."""
    order = random.permutation(len(labels))
    test, start, pool = order[:TEST], order[TEST : TEST + START], order[TEST + START :]

    def accuracy(learnt: NDArray[np.int64]) -> float:
        return float(_head(rows[learnt], labels[learnt]).score(rows[test], labels[test]))

    first = _head(rows[start], labels[start])
    ours = pool[_chosen(np.asarray(first.predict_proba(rows[pool]), np.float32), scenes[pool])]
    drawn = [random.choice(pool, MORE, replace=False) for _ in range(DRAWS)]
    by_chance = statistics.mean(accuracy(np.concatenate([start, more])) for more in drawn)
    return float(first.score(rows[test], labels[test])), accuracy(np.concatenate([start, ours])), by_chance


def _chosen(probabilities: NDArray[np.float32], scenes: NDArray[np.float32]) -> list[int]:
    """Places of the unsurest pictures, each of another scene; once there are no other scenes, of any."""
    manifest: Any = SimpleNamespace(out_of_distribution=None)
    unsure = np.asarray([uncertainty(Prediction(probabilities=each), manifest) for each in probabilities])
    order, known, chosen = np.argsort(-unsure, kind="stable").tolist(), Scenes(len(unsure)), list[int]()
    for place in order:
        if len(chosen) < MORE and known.is_new(scenes[place]):
            known.keep(scenes[place])
            chosen.append(place)
    rest = [place for place in order if place not in set(chosen)]
    return chosen + rest[: MORE - len(chosen)]


def _head(rows: NDArray[np.float32], labels: NDArray[np.int64]) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(C=0.003, max_iter=1000)).fit(rows, labels)


if __name__ == "__main__":
    main()
