"""Runs a packaged classifier over a split of a dataset, the way it is served."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np

from handful_core.console import progress
from handful_core.errors import DataError
from handful_core.runtime.model import VisionModel
from handful_core.vision.prediction import Prediction
from handful_trainer.dataset.accounts import Books, check_used
from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.tasks.classification.evaluation.evaluation import Evaluation
from handful_trainer.tasks.classification.evaluation.judged_images import JudgedImages

__all__ = ["Evaluation", "evaluate"]


def evaluate(model: VisionModel, dataset: PreparedDataset, split: str) -> Evaluation:
    """Measure a classifier on a split. Class names tie the two together.

    Raises:
        NotFoundError: the dataset has no such split.
        DataError: the model is no classifier, the two share no class, or no image can be read.
    """
    manifest = model.manifest
    if manifest.task != "classify":
        raise DataError(f"the model's task is {manifest.task}, the dataset has classes", "name a classifier")
    _check_classes(manifest.classes, dataset.classes)
    images = JudgedImages.of(dataset, split)
    judged, answers, books = list[tuple[Path, str]](), list[Prediction](), Books()
    with progress() as bar:
        for path, name in bar.track(images.samples, description=f"evaluating {split}"):
            if (pixels := images.pixels(path, books)) is not None:
                judged.append((path, name))
                answers.append(model.predict(pixels))
    accounts = () if images.checked else (*images.accounts, *books.close())
    check_used(accounts)
    names = [name for _, name in judged]
    classes = tuple(dict.fromkeys((*manifest.classes, *dataset.classes, *names)))
    notes = (warning for account in accounts for warning in account.warnings())
    sets = manifest.prediction_sets
    return Evaluation(
        split=split,
        classes=classes,
        truth=np.asarray([classes.index(name) for name in names], np.int64),
        probabilities=np.asarray([answer.probabilities for answer in answers], np.float32),
        paths=tuple(path for path, _ in judged),
        least=sets.probability if sets else None,
        unlike=_unlike(answers),
        dataset=dataset,
        accounts=accounts,
        notes=(*images.warnings, *notes, *_class_notes(manifest.classes, names)),
    )


def _unlike(answers: Sequence[Prediction]) -> np.typing.NDArray[np.bool_] | None:
    """Which images were called unlike the training images; None if the model cannot tell."""
    found = [answer.out_of_distribution for answer in answers]
    return None if None in found else np.asarray(found, np.bool_)


def _check_classes(known: Collection[str], found: Collection[str]) -> None:
    """Refuse a dataset none of whose classes the model knows."""
    if not set(known) & set(found):
        raise DataError(
            f"the model knows {', '.join(known)}, the dataset has {', '.join(found)}",
            "evaluate it on a dataset with its classes",
        )


def _class_notes(known: Sequence[str], names: Sequence[str]) -> Iterator[str]:
    """Classes that only the images have, or only the model."""
    for name, images in Counter(names).items():
        if name not in known:
            folded = {each.casefold(): each for each in known}
            near = difflib.get_close_matches(name.casefold(), folded, n=1)
            guess = f"; did you mean {folded[near[0]]!r}?" if near else ""
            yield f"the model does not know the class {name} ({_number(images)} of it, all counted as wrong){guess}"
    if missing := [name for name in known if name not in names]:
        yield f"no image shows {', '.join(missing)}: how well the model finds that is not measured"


def _number(images: int) -> str:
    return f"{images} image{'' if images == 1 else 's'}"
