"""What validation images decide of a classifier's package, and the graph that carries it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from handful_core.package import MAX_REFERENCE_BYTES, OutputLayout, Package
from handful_core.runtime.model import load_model
from handful_core.vision.classification import in_set, softmax
from handful_core.vision.decode import decode_image
from handful_core.vision.reference import EmbeddingReference
from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.packaging.build import BuiltPackage, build_package
from handful_trainer.tasks.classification.export.graph import divide_logits, export
from handful_trainer.tasks.classification.export.limits import fit_least_probability, fit_temperature
from handful_trainer.tasks.classification.network import Network, write_weights
from handful_trainer.tasks.classification.task import LightningEngine
from handful_trainer.tasks.out_of_distribution import fit_distance, fit_reference
from support.small_leaves import Watching, leaf, leaf_config, leaf_folder, leaf_job

ENGINE = LightningEngine()


def drawn(temperature: float, images: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are too large by a temperature, and truths that are as probable as the others say."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (images, 4)).astype(np.float32)
    truth = np.asarray([rng.choice(4, p=row / row.sum()) for row in softmax(logits).astype(np.float64)])
    return logits * np.float32(temperature), truth


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_the_temperature_that_was_put_in_is_found_again(temperature: float) -> None:
    assert fit_temperature(*drawn(temperature, 5000)) == pytest.approx(temperature, rel=0.05)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(20, 200))
def test_no_other_temperature_is_likelier(seed: int, images: int) -> None:
    """Against scipy's search."""
    logits, truth = drawn(2.0, images, seed)

    def loss(log: float) -> float:
        probabilities = softmax(logits / np.float32(np.exp(log)))[np.arange(images), truth]
        return float(-np.log(np.maximum(probabilities, 1e-30)).mean())

    best = minimize_scalar(loss, bounds=(-2.5, 2.5), method="bounded")
    assert loss(np.log(fit_temperature(logits, truth))) <= best.fun + 1e-4


def test_a_model_that_is_always_right_gets_a_temperature_within_bounds() -> None:
    logits = np.eye(3, dtype=np.float32) * 5
    assert 0.05 <= fit_temperature(logits, np.arange(3)) < 0.5
    assert fit_temperature(-logits, np.arange(3)) == 20, "always wrong"


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(40, 400), st.sampled_from([0.8, 0.9, 0.95]))
def test_sets_hold_the_truth_of_as_many_images_as_they_were_fitted_for(seed: int, images: int, coverage: float) -> None:
    logits, truth = drawn(1.0, images, seed)
    probabilities = softmax(logits)
    members = in_set(probabilities, fit_least_probability(probabilities, truth, coverage))
    assert members[np.arange(images), truth].mean() >= coverage


def test_sets_hold_on_images_that_were_not_there() -> None:
    """Over many draws the coverage is what was asked for."""
    found = []
    for seed in range(60):
        logits, truth = drawn(1.0, 1000, seed)
        probabilities = softmax(logits)
        least = fit_least_probability(probabilities[:200], truth[:200], 0.9)
        found.append((probabilities[200:] >= least)[np.arange(800), truth[200:]].mean())
    assert np.mean(found) == pytest.approx(0.9, abs=0.015)


def test_with_too_few_images_every_class_may_be() -> None:
    probabilities = softmax(np.float32([[5, 0, 0]] * 10))
    assert fit_least_probability(probabilities, np.zeros(10, np.int64), 0.95) == 0
    assert fit_distance(np.linspace(0, 0.1, 10), 0.95) == 2, "and nothing is unlike"


def test_the_distance_holds_the_share() -> None:
    distances = np.random.default_rng(0).random(199)
    assert (distances <= fit_distance(distances, 0.95)).sum() == 190


@settings(max_examples=30, deadline=None)
@given(st.integers(4, 60), st.integers(2, 40), st.integers(0, 100))
def test_the_reference_is_a_mean_and_directions(images: int, width: int, seed: int) -> None:
    points = np.random.default_rng(seed).normal(size=(images, width)).astype(np.float32)
    rows = fit_reference(points, 8)
    unit = points / np.linalg.norm(points, axis=1, keepdims=True)
    assert rows[0] == pytest.approx(unit.mean(axis=0), abs=1e-3)
    assert 1 <= len(rows) <= 1 + min(8, images // 2, width)
    assert rows[1:] @ rows[1:].T == pytest.approx(np.eye(len(rows) - 1), abs=0.01)


def test_what_differs_in_another_direction_is_far() -> None:
    """Images that vary along two of ten directions, and one that varies along a third."""
    rng = np.random.default_rng(0)
    seen = np.zeros((100, 10), np.float32)
    seen[:, 0] = 1
    seen[:, 1:3] = rng.normal(size=(100, 2))
    rows = fit_reference(seen)
    reference = EmbeddingReference(rows[0], rows[1:])
    usual, other = np.zeros(10, np.float32), np.zeros(10, np.float32)
    usual[:3], other[:2], other[5] = (1, 0.7, -0.2), (1, 0.7), 0.5
    assert reference.distance(usual) < 0.01
    assert reference.distance(other) == pytest.approx(0.5 / np.linalg.norm(other), abs=0.01)
    assert reference.distance(other * 100) == pytest.approx(reference.distance(other), abs=1e-4), "length says nothing"


def test_images_that_are_all_alike_have_no_directions() -> None:
    rows = fit_reference(np.ones((9, 6), np.float32))
    assert rows.shape == (1, 6)
    assert EmbeddingReference(rows[0], rows[1:]).distance(np.ones(6, np.float32)) == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("width", [192, 1280, 2048, 9000])
def test_the_file_of_the_reference_is_small(width: int, tmp_path: Path) -> None:
    points = np.random.default_rng(0).normal(size=(150, width)).astype(np.float32)
    np.save(tmp_path / "reference.npy", fit_reference(points).astype(np.float16))
    assert (tmp_path / "reference.npy").stat().st_size <= MAX_REFERENCE_BYTES


@pytest.fixture(scope="module")
def leaves(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    return leaf_folder(tmp_path_factory.mktemp("leaves") / "data", others=8)


@pytest.fixture(scope="module")
def built(leaves: PreparedDataset, tmp_path_factory: pytest.TempPathFactory) -> BuiltPackage:
    job = leaf_job(tmp_path_factory.mktemp("run"), leaves, leaf_config(training={"epochs": 3}))
    return build_package(job, ENGINE.train(job, Watching(), resume=False))


def test_a_package_knows_the_limits_of_its_model(built: BuiltPackage) -> None:
    manifest = built.package.manifest
    assert manifest.calibration is not None
    assert manifest.prediction_sets is not None
    assert manifest.calibration.images == manifest.prediction_sets.images == 24
    assert manifest.out_of_distribution is not None
    assert manifest.output.class_maps is not None
    assert manifest.output.class_maps.exact
    assert np.load(built.package.root / "reference.npy").shape == (1 + 6, 256)


def test_the_graph_itself_is_calibrated(built: BuiltPackage, leaves: PreparedDataset) -> None:
    """So that whoever knows nothing of calibration answers with the same probabilities."""
    package = built.package
    plain = package.manifest.model_copy(update={"calibration": None, "prediction_sets": None})
    pixels = decode_image(leaves.images("test")[0].read_bytes())
    given = load_model(Package(package.root, plain)).predict(pixels).probabilities
    assert np.array_equal(np.asarray(given), np.asarray(load_model(package).predict(pixels).probabilities))


def test_what_no_leaf_looks_like_is_unlike_the_training_images(built: BuiltPackage, leaves: PreparedDataset) -> None:
    model = load_model(built.package)
    like = [model.predict(decode_image(path.read_bytes())).distance for path in leaves.images("val")]
    stripes = np.zeros((48, 48, 3), np.uint8)
    stripes[::4] = (255, 0, 255)
    limit = built.package.manifest.out_of_distribution
    assert limit is not None
    assert sum(distance <= limit.distance for distance in like if distance is not None) >= 23
    answer = model.predict(stripes)
    assert answer.distance is not None
    assert answer.distance > np.median([each for each in like if each is not None])


def test_a_graph_answers_several_images_at_once(tmp_path: Path) -> None:
    config = leaf_config()
    network = Network.of(config, ("a", "b", "c"))
    write_weights(network.build(), network, tmp_path / "w.safetensors")
    graph = export(config, tmp_path / "w.safetensors", tmp_path)
    session = ort.InferenceSession(graph.path)
    images = torch.rand(3, 3, 32, 32).numpy()
    together = session.run(None, {"images": images})
    for place in range(3):
        alone = session.run(None, {"images": images[place : place + 1]})
        for one, all_of_them in zip(alone, together, strict=True):
            assert np.allclose(one[0], all_of_them[place], atol=1e-5)


def test_logits_are_divided_and_nothing_else(tmp_path: Path) -> None:
    config = leaf_config()
    network = Network.of(config, ("a", "b", "c"))
    write_weights(network.build(), network, tmp_path / "w.safetensors")
    graph = export(config, tmp_path / "w.safetensors", tmp_path)
    feed: Any = {"images": torch.rand(1, 3, 32, 32).numpy()}
    before = ort.InferenceSession(graph.path).run(None, feed)
    divide_logits(graph.path, graph.output.name, 4.0)
    after = ort.InferenceSession(graph.path).run(None, feed)
    assert graph.output.head is OutputLayout.LOGITS
    assert np.allclose(after[0], before[0] / 4, atol=1e-6)
    for one, other in zip(before[1:], after[1:], strict=True):
        assert np.allclose(one, other, atol=1e-6)


def test_a_leaf_is_explained(built: BuiltPackage) -> None:
    answer = load_model(built.package).predict(leaf("rust", 1), explain=True)
    assert answer.explanation is not None
    assert answer.explanation.values.shape == (1, 1), "32 pixels are one place of this network"
