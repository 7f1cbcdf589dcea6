"""Charts of an evaluation: confusion matrix, reliability diagram, curves of precision and recall."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from handful_trainer.tasks.classification.evaluation.evaluation import Evaluation

_NUMBERED = 20
"""So many classes still have their numbers written into the confusion matrix."""
_CURVES = 12
"""So many classes get a curve of their own: those with the least area below."""


def draw_charts(evaluation: Evaluation, folder: Path) -> dict[str, Path]:
    """Draw all of them into the folder; by title."""
    charts: dict[str, tuple[str, Any]] = {
        "Confusion": ("confusion_matrix.png", _confusion(evaluation)),
        "Reliability": ("reliability.png", _reliability(evaluation)),
        "Precision and recall": ("pr_curves.png", _curves(evaluation)),
    }
    found = {}
    for title, (name, figure) in charts.items():
        if figure is not None:
            figure.savefig(folder / name, dpi=110)
            found[title] = folder / name
    return found


def _confusion(evaluation: Evaluation) -> Any:
    from matplotlib.figure import Figure

    matrix = evaluation.confusion.T  # Rows what was there: as most people read it.
    shown = np.flatnonzero(matrix.sum(axis=0) + matrix.sum(axis=1))
    matrix, names = matrix[np.ix_(shown, shown)], [evaluation.classes[c] for c in shown]
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    side = min(14.0, 3 + 0.55 * len(names))
    figure = Figure((side + 0.6, side), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", parse_math=False)
    axes.set_yticks(range(len(names)), names, parse_math=False)
    axes.set_xlabel("answer")
    axes.set_ylabel("truth")
    if len(names) <= _NUMBERED:
        for (row, column), number in np.ndenumerate(matrix):
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, str(number), ha="center", va="center", color=colour)
    return figure


def _reliability(evaluation: Evaluation) -> Any:
    from matplotlib.figure import Figure

    bins = evaluation.scores.calibration.as_json()
    figure = Figure((5, 5), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    places = [(each["from"] + each["to"]) / 2 for each in bins]
    width = bins[0]["to"] - bins[0]["from"]
    above.bar(places, [each["accuracy"] for each in bins], width, edgecolor="white", label="right")
    above.plot([each["confidence"] for each in bins], [each["confidence"] for each in bins], "k_", ms=12, label="said")
    above.plot([0, 1], [0, 1], "k:", lw=1)
    above.set_ylim(0, 1)
    above.set_ylabel("share that is right")
    above.legend(loc="upper left")
    below.bar(places, [each["images"] for each in bins], width, color="grey", edgecolor="white")
    below.set_xlim(0, 1)
    below.set_xlabel("probability of the answer")
    below.set_ylabel("images")
    return figure


def _curves(evaluation: Evaluation) -> Any:
    """None where no class has a curve."""
    from matplotlib.figure import Figure
    from sklearn.metrics import precision_recall_curve

    areas = _average_precisions(evaluation)
    if not areas:
        return None
    figure = Figure((6, 5), layout="constrained")
    axes = figure.subplots()
    for name in sorted(areas, key=areas.__getitem__)[:_CURVES]:
        class_id = evaluation.classes.index(name)
        of_class = evaluation.truth == class_id
        precision, recall, _ = precision_recall_curve(of_class, evaluation.probabilities[:, class_id])
        axes.step(recall, precision, where="post", label=f"{name} {areas[name]:.3f}")
    axes.set(xlim=(0, 1.01), ylim=(0, 1.01), xlabel="recall", ylabel="precision")
    for text in axes.legend(title="average precision", loc="lower left").get_texts():
        text.set_parse_math(False)
    return figure


def _average_precisions(evaluation: Evaluation) -> Mapping[str, float]:
    """Area below the curve of each class that has one."""
    scores, once = evaluation.scores, np.ones((1, evaluation.images), np.int64)
    return {evaluation.classes[c]: float(scores.class_areas(c, once)[1, 0]) for c in scores.ranked_classes}
