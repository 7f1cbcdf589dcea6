"""Does the background give the class away? A small model that sees only the border of the images says it.

In lab sets each class has a table, a camera, a day of its own: the colours of eight pixels at the border tell 38 plant
diseases apart in 49 % (Noyan: Uncovering bias in the PlantVillage dataset, 2022). A classifier learns that, too, and
fails in the field.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handful_trainer.tasks.bootstrap import Interval, interval, resamples
from handful_trainer.tasks.classification.evaluation.appearance import Appearance, appearances

_FOLDS = 5
_IMAGES = 1000
"""Training images that the small model sees at most."""
_NEAR = 0.75
"""Share of the way from guessing to the model that is too near. Leaves that fill the picture reach 0.5: they are at its
border, too."""


@dataclass(frozen=True, slots=True)
class ShortcutCheck:
    """How far the border of the images alone leads, on the images that the model was judged on."""

    images: int
    """Training images that the small model saw."""
    guess: float
    """Accuracy of always answering the commonest class."""
    border: float
    """Accuracy of the small model."""
    interval: Interval
    """95 % interval of that."""
    model: float
    """Accuracy of the model itself."""

    @property
    def share(self) -> float | None:
        """How much of the way from guessing to the model the border goes; None of a model that does no better."""
        return (self.border - self.guess) / (self.model - self.guess) if self.model > self.guess else None

    @property
    def gives_away(self) -> bool:
        """The border comes near the model, and is clearly better than guessing."""
        return self.interval[0] > self.guess and (self.share is None or self.share >= _NEAR)

    @property
    def warning(self) -> str:
        """A sentence for people."""
        return (
            "the background gives the class away: the colours along the border of the images alone are right in "
            f"{self.border:.0%} of them, the model in {self.model:.0%}, guessing in {self.guess:.0%}; unless objects "
            "reach the border, take images of all classes in the same places, and judge on images from elsewhere"
        )

    def as_json(self) -> dict[str, Any]:
        """For reports."""
        return {
            "gives_away": self.gives_away,
            "border": self.border,
            "interval": list(self.interval),
            "model": self.model,
            "guess": self.guess,
            "share": self.share,
            "train_images": self.images,
        }


def check_shortcut(
    train: Sequence[tuple[Path, str]], judged: Mapping[Path, Appearance], truth: Sequence[str], right: NDArray[np.bool_]
) -> ShortcutCheck | None:
    """Judge the border of images as the model was judged.

    Args:
        train: training images with their classes.
        judged: what the images look like that the model was judged on.
        truth: (images,), their classes.
        right: (images,), where the model was right.

    Returns:
        None if there are too few training images: two classes need five each.
    """
    sampled = _sampled(train)
    others = [path for path, _ in sampled if path not in judged]
    looks = appearances(others, all_of_them=False) | dict(judged)
    seen = [(path, name) for path, name in sampled if path in looks]
    often = Counter(name for _, name in seen)
    seen = [(path, name) for path, name in seen if often[name] >= _FOLDS]
    if len({name for _, name in seen}) < 2:
        return None
    place = {path: i for i, (path, _) in enumerate(seen)}
    answers = _answers(
        np.stack([looks[path].border for path in place]),
        np.asarray([name for _, name in seen]),
        np.stack([look.border for look in judged.values()]),
        [place.get(path, -1) for path in judged],
    )
    return _judged(len(seen), answers == np.asarray(truth), truth, right)


def _sampled(train: Sequence[tuple[Path, str]]) -> list[tuple[Path, str]]:
    return [train[i] for i in np.sort(np.random.default_rng(0).permutation(len(train))[:_IMAGES]).tolist()]


def _judged(images: int, hits: NDArray[np.bool_], truth: Sequence[str], right: NDArray[np.bool_]) -> ShortcutCheck:
    drawn = resamples(len(hits)) @ hits / len(hits)
    guess = Counter(truth).most_common(1)[0][1] / len(truth)
    return ShortcutCheck(images, guess, float(hits.mean()), interval(drawn, len(hits)), float(right.mean()))


def _answers(
    train: NDArray[np.float32], names: NDArray[np.str_], judged: NDArray[np.float32], places: Sequence[int]
) -> NDArray[np.str_]:
    """What a small model says of borders, (images,): the one that does better on training images left out of its fit.

    Args:
        train: (training images, features).
        names: their classes.
        judged: (images, features).
        places: where an image is one of the training images, which of them; else -1.
    """
    from sklearn.ensemble import ExtraTreesClassifier
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=0)
    linear = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    trees = ExtraTreesClassifier(100, min_samples_leaf=2, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = [(cross_val_predict(model, train, names, cv=folds), model) for model in (linear, trees)]
        left_out, model = max(fitted, key=lambda pair: float((pair[0] == names).mean()))
        answers = model.fit(train, names).predict(judged)
    # Of its own training images it must not say what it learnt by heart.
    return np.asarray(np.where(np.asarray(places) >= 0, left_out[places], answers))
