"""What a network sees of images, and in which order."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.transforms.v2 import functional

from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.tasks.classification.data.augmentation import ReflectedRotation, varied
from handful_trainer.tasks.classification.data.datasets import (
    ClassFolders,
    EpochSampler,
    ServedImages,
    VariedImages,
)
from handful_trainer.tasks.classification.network import Network
from handful_trainer.tasks.classification.training.module import mixing
from support.small_leaves import COLOURS, leaf_config, leaf_folder

PLAIN = {"crop": 1.0, "fliplr": 0.0, "brightness": 0.0, "contrast": 0.0, "saturation": 0.0}
"""No augmentation at all."""


@pytest.fixture(scope="module")
def leaves(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    """Six green, three rusty and one yellow leaf to train on."""
    sizes = dict(zip(COLOURS, (6, 3, 1), strict=True))
    return leaf_folder(tmp_path_factory.mktemp("leaves") / "leaves", sizes)


@pytest.mark.parametrize("resize", ["stretch", "crop", "letterbox"])
def test_without_augmentation_an_image_is_trained_as_it_is_served(leaves: PreparedDataset, resize: str) -> None:
    config = leaf_config(training={"resize": resize, "height": 48}, augmentation=PLAIN)
    network = Network.of(config, leaves.classes)
    samples = list(leaves.split("train"))
    served, class_id = ServedImages(samples, network)[7]
    trained, same = VariedImages(samples, network, config.augmentation)[7, 0]
    assert class_id == same == 1
    assert served.shape == trained.shape == (3, 48, 32)
    torch.testing.assert_close(trained, served, rtol=0, atol=2e-6)


def test_an_image_is_another_for_each_draw_and_the_same_for_one(leaves: PreparedDataset) -> None:
    config = leaf_config(augmentation={"trivial": True, "erasing": 0.5, "degrees": 20})
    network = Network.of(config, leaves.classes)
    images = VariedImages(list(leaves.split("train")), network, config.augmentation)
    state = torch.random.get_rng_state()
    assert torch.equal(images[0, 5][0], images[0, 5][0])
    assert not torch.equal(images[0, 5][0], images[0, 6][0])
    assert torch.equal(torch.random.get_rng_state(), state), "chance elsewhere is left alone"
    assert images[0, 5][0].shape == (3, 32, 32)


def test_a_flip_is_a_flip() -> None:
    config = leaf_config(augmentation=PLAIN | {"fliplr": 1.0})
    network = Network.of(config, ("a", "b"))
    picture = torch.arange(3 * 32 * 32).remainder(256).reshape(3, 32, 32).to(torch.uint8)
    mean, std = torch.tensor(network.mean)[:, None, None], torch.tensor(network.std)[:, None, None]
    torch.testing.assert_close(varied(network, config.augmentation)(picture), (picture.flip(2) / 255 - mean) / std)


@given(degrees=st.floats(1, 180), seed=st.integers(0, 2**31), height=st.integers(8, 60), width=st.integers(8, 60))
def test_a_rotation_adds_no_colour_that_the_image_does_not_have(
    degrees: float, seed: int, height: int, width: int
) -> None:
    torch.manual_seed(seed)
    picture = torch.randint(100, 110, (3, height, width), dtype=torch.uint8)
    turned = ReflectedRotation(degrees)(picture)
    assert turned.shape == picture.shape
    assert picture.min() <= turned.min()
    assert turned.max() <= picture.max()


def test_a_rotation_turns_as_torchvision_does() -> None:
    rows, columns = torch.meshgrid(torch.arange(64), torch.arange(96), indexing="ij")
    picture = torch.stack([2 * rows, 2 * columns, rows + columns]).to(torch.uint8)
    torch.manual_seed(5)
    turned = ReflectedRotation(40)(picture)
    torch.manual_seed(5)
    angle = float(torch.empty(1).uniform_(-40, 40))
    expected = functional.rotate(picture, angle, functional.InterpolationMode.BILINEAR)
    assert abs(angle) > 10
    middle = (slice(None), slice(20, 44), slice(36, 60))
    torch.testing.assert_close(turned[middle], expected[middle], rtol=0, atol=1)


@given(images=st.integers(1, 60), seed=st.integers(0, 2**31), epoch=st.integers(0, 500))
def test_an_epoch_has_every_image_once(images: int, seed: int, epoch: int) -> None:
    sampler = EpochSampler(images, seed)
    sampler.set_epoch(epoch)
    drawn = list(sampler)
    assert sorted(index for index, _ in drawn) == list(range(images))
    again = EpochSampler(images, seed)
    again.set_epoch(epoch)
    assert list(again) == drawn
    again.set_epoch(epoch + 1)
    assert [draw for _, draw in again] != [draw for _, draw in drawn]


def test_balanced_sampling_shows_all_classes_alike(leaves: PreparedDataset) -> None:
    config = leaf_config(training={"balance": "sampling"})
    data = ClassFolders(leaves, Network.of(config, leaves.classes), config, 0)
    sampler = data.train_dataloader().sampler
    assert isinstance(sampler, EpochSampler)
    seen: Counter[int] = Counter()
    for epoch in range(300):
        sampler.set_epoch(epoch)
        seen.update(data.train[index][1] for index, _ in sampler)
    # 3,000 draws of three classes: 1,000 each, and a standard deviation of 26.
    assert all(abs(seen[class_id] - 1000) < 130 for class_id in range(3)), seen


def test_weights_make_classes_count_alike(leaves: PreparedDataset) -> None:
    config = leaf_config()
    weights = ClassFolders(leaves, Network.of(config, leaves.classes), config, 0).class_weights
    assert (weights * torch.tensor([6, 3, 1])).tolist() == pytest.approx([10 / 3] * 3)


def test_what_is_left_over_after_whole_batches_waits_but_few_images_are_trained(leaves: PreparedDataset) -> None:
    def sizes(batch: int) -> list[int]:
        config = leaf_config(training={"batch": batch})
        data = ClassFolders(leaves, Network.of(config, leaves.classes), config, 0)
        return [len(truth) for _, truth in data.train_dataloader()]

    assert sizes(4) == [4, 4]
    assert sizes(32) == [10]


def test_mixing_blends_images_and_truth() -> None:
    images, truth = torch.rand(6, 3, 32, 32), torch.tensor([0, 1, 2, 0, 1, 2])
    assert mixing(leaf_config(), 3) is None
    for settings in ({"mixup": 0.4}, {"cutmix": 1.0}, {"mixup": 0.4, "cutmix": 1.0}):
        torch.manual_seed(0)
        mix = mixing(leaf_config(augmentation=settings), 3)
        assert mix is not None
        mixed, shares = mix(images, truth)
        assert shares.shape == (6, 3)
        torch.testing.assert_close(shares.sum(dim=1), torch.ones(6))
        assert not torch.equal(mixed, images)


def test_a_network_sees_colours_as_its_makers_normalise_them(tmp_path: Path) -> None:
    known = Network.of(leaf_config(model={"architecture": "resnet50"}), ("a", "b"))
    assert (known.mean, known.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    lite = Network.of(leaf_config(model={"architecture": "tf_efficientnet_lite0"}), ("a", "b"))
    assert (lite.mean, lite.std) == ((0.5,) * 3, (0.5,) * 3)
