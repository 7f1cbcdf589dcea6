"""Classes that are probably wrong: images that a classifier which never saw their label calls something else.

Confident learning (Northcutt, Jiang, Chuang: Confident Learning: Estimating Uncertainty in Dataset Labels, 2021) ranks
labels by what an out-of-fold model thinks of them. A network sees each image once, and a logistic regression on what
it sees is trained in folds: that takes seconds, and no image is judged by a head that learnt its label.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from handful_core.console import progress
from handful_core.errors import ConfigError, DataError
from handful_core.package import Input
from handful_core.runtime.model import VisionModel
from handful_core.vision.decode import Pixels, decode_image
from handful_core.vision.preprocess import Floats, to_input
from handful_trainer.dataset.inspection.phash import near_duplicates
from handful_trainer.dataset.label_issues.issue import FoundIssues, LabelIssue, NamedBox
from handful_trainer.dataset.prepared import ASSETS, PreparedDataset
from handful_trainer.dataset.splitting.groups import UnionFind

Features = Callable[[Pixels], Floats]
"""What a network sees of an image, (height, width, 3) uint8 BGR: (d,)."""
_NETWORK = "tf_efficientnet_lite0"
_FOLDS = 5
_LEAST = 5
"""Images of a class below which it is not judged."""
_REPEATS = 3
"""Times that the folds are drawn anew; probabilities are the mean."""
_FREEDOM = 11.0
"""C of the logistic regression, by the number of features: many say the same, and may move it together."""
_SIDE = 288
"""Pixels of the square that ImageNet's network sees."""
_COARSE = 4
"""Numbers of the first two stages are left out: they tell edges alone."""


def find_label_issues(model: VisionModel | None, dataset: PreparedDataset) -> FoundIssues:
    """Judge all labels of a dataset out of fold.

    Args:
        model: whose embedding is used; a network that knows ImageNet alone if None.
        dataset: all splits of it.

    Raises:
        DataError: a class has too few images.
        ConfigError: the model has no embedding, or ImageNet's weights are not installed.
    """
    see = imagenet_features() if model is None else _features_of(model)
    samples = samples_of(dataset)
    paths = [path for path, _, _ in samples]
    rows = rows_of(see, paths)
    labels = np.asarray([label for _, _, label in samples], np.int64)
    judged, notes = _judged(labels, dataset.classes)
    groups = groups_of(paths, dataset)
    present = np.unique(labels[judged])
    probabilities = out_of_fold_probabilities(rows[judged], labels[judged], groups[judged])
    scores = doubts(probabilities, np.searchsorted(present, labels[judged]))
    issues = []
    for place, values, score in zip(np.flatnonzero(judged), probabilities, scores, strict=True):
        path, split, label = samples[place]
        other = present[np.argmax(np.where(present == label, -1, values))]
        proposed = NamedBox(dataset.classes[other], confidence=float(values[present == other][0]))
        issues.append(LabelIssue(path, split, "wrong class", float(score), NamedBox(dataset.classes[label]), proposed))
    given = {path: (NamedBox(dataset.classes[label]),) for path, _, label in samples}
    return FoundIssues(issues, len(samples), int(judged.sum()), out_of_fold=True, notes=notes, given=given)


def out_of_fold_probabilities(
    features: Floats, labels: NDArray[np.int64], groups: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Probabilities of each image's classes by heads that saw neither it nor what is alike to it.

    Args:
        features: (n, d)
        labels: (n,)
        groups: (n,), the same for images that belong together.

    Returns:
        (n, classes that labels have), in the order of the class ids.

    Raises:
        DataError: there are no two different images.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    folds = min(_FOLDS, int(np.unique(labels, return_counts=True)[1].min()), len(np.unique(groups)))
    if folds < 2:
        raise DataError("all images look like one, and cannot be judged by each other", "add different images")
    freedom, present = _FREEDOM / features.shape[1], np.unique(labels)
    found = np.zeros((len(labels), len(present)), np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # Groups may keep a class out of a fold: it gets no probability.
        for repeat in range(_REPEATS):
            way = StratifiedGroupKFold(folds, shuffle=True, random_state=repeat)
            for learnt, judged in way.split(features, labels, groups):
                if len(np.unique(labels[learnt])) < 2:  # The others all look alike, and are judged here.
                    continue
                head = make_pipeline(StandardScaler(), LogisticRegression(C=freedom, max_iter=1000))
                head.fit(features[learnt], labels[learnt])
                columns = np.searchsorted(present, head.classes_)
                found[np.ix_(judged, columns)] += head.predict_proba(features[judged]) / _REPEATS
    return found


def doubts(probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.float32]:
    """How suspicious labels are, 0 to 1: how improbable a label's own class is (self-confidence).

    Args:
        probabilities: (n, classes)
        labels: (n,)
    """
    return np.asarray(1 - probabilities[np.arange(len(labels)), labels], np.float32)


def imagenet_features() -> Features:
    """What EfficientNet-Lite0 sees, as ImageNet taught it: means and deviations of its feature maps.

    The maps of the middle tell spots and textures, which its last layer no longer does: on the bean leaves of the
    benchmark, of the first 5 % that are shown 74 % are faults by the last layer alone, and 85 % by all.

    Raises:
        ConfigError: its weights are not installed.
    """
    import timm
    import torch
    from timm.models import get_pretrained_cfg

    from handful_trainer.tasks.classification.training.weights import lite0_weights

    network = timm.create_model(_NETWORK, num_classes=0)
    own = network.state_dict()
    network.load_state_dict({key: tensor for key, tensor in lite0_weights().items() if key in own})
    network.eval()
    known = get_pretrained_cfg(_NETWORK)
    spec = Input(width=_SIDE, height=_SIDE, resize="stretch", mean=known.mean, std=known.std)

    def see(pixels: Pixels) -> Floats:
        with torch.inference_mode():
            maps = network.bn1(network.conv_stem(torch.from_numpy(to_input(pixels, spec)[0])))
            found = []
            for block in network.blocks:
                maps = block(maps)
                found += [maps.mean((2, 3)), maps.std((2, 3))]
            last = network.bn2(network.conv_head(maps))
            seen = torch.cat([*found[_COARSE:], last.mean((2, 3))], 1)
        return np.asarray(seen[0].numpy(), np.float32)

    return see


def _features_of(model: VisionModel) -> Features:
    """The embedding that a package gives.

    Raises:
        ConfigError: it gives none.
    """
    if model.manifest.output.embedding is None:
        raise ConfigError(
            f"the package of {model.manifest.name} gives no embedding",
            "package the model again, or leave out --model and --package",
        )

    def see(pixels: Pixels) -> Floats:
        _, embedding = model.raw(pixels)
        assert embedding is not None  # noqa: S101  # Checked above.
        return embedding

    return see


def samples_of(dataset: PreparedDataset) -> list[tuple[Path, str, int]]:
    """All images with split and class id."""
    return [(path, split, label) for split in dataset.split_sizes for path, label in dataset.split(split)]


def rows_of(see: Features, paths: Sequence[Path]) -> Floats:
    """(n, d): what a network sees of each image."""
    rows = []
    with progress() as bar:
        shown = bar.add_task("looking at images", total=len(paths))
        for path in paths:
            rows.append(see(decode_image(path.read_bytes())))
            bar.advance(shown)
    return np.stack(rows)


def _judged(labels: NDArray[np.int64], classes: Sequence[str]) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """Which images are of classes that have one for each fold at least, and what is said of the others.

    Raises:
        DataError: fewer than two classes have.
    """
    numbers = np.bincount(labels, minlength=len(classes))
    enough = numbers >= _LEAST
    if enough.sum() < 2:
        raise DataError(
            f"labels are judged where two classes or more have {_LEAST} images or more", "add images of each class"
        )
    few = [name for name, number, many in zip(classes, numbers, enough, strict=True) if number and not many]
    notes = (f"images of {', '.join(few)} are not judged: there are fewer than {_LEAST} of each",) if few else ()
    return enough[labels], notes


def groups_of(paths: Sequence[Path], dataset: PreparedDataset) -> NDArray[np.int64]:
    """(n,): near-duplicates get the same number, as far as the dataset's list of assets tells."""
    hashes = _hashes(dataset)
    known = [hashes.get(path.relative_to(dataset.root).as_posix(), -1) for path in paths]
    groups = UnionFind(len(paths))
    for one, other in near_duplicates(known, max(dataset.near_duplicate_distance, 0)):
        groups.join(one, other)
    return np.asarray([groups.find(place) for place in range(len(paths))], np.int64)


def _hashes(dataset: PreparedDataset) -> dict[str, int]:
    """Perceptual hashes by an image's place in the folder; empty where Handful did not prepare it."""
    listed = dataset.root / ASSETS
    if not dataset.report or not listed.is_file():
        return {}
    entries = [json.loads(line) for line in listed.read_text(encoding="utf-8").splitlines()]
    return {entry["image"]: int(entry["phash"], 16) for entry in entries if entry["image"] and entry.get("phash")}
