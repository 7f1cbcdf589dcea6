"""Training on several devices: here two processes on processors, which is what Lightning does with GPUs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from handful_core.errors import ConfigError, HandfulError
from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.tasks.classification.data.datasets import ClassFolders, EpochSampler, Share
from handful_trainer.tasks.classification.network import Network, read_weights
from handful_trainer.tasks.classification.task import LightningEngine
from handful_trainer.tasks.classification.training import ranks, train
from handful_trainer.tasks.classification.training.placement import Placement, _free_port
from support.small_leaves import Watching, leaf_config, leaf_folder, leaf_job

ENGINE = LightningEngine()


@pytest.fixture(scope="module")
def leaves(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    """Five validation images of each class: one process has eight of them, the other seven."""
    return leaf_folder(tmp_path_factory.mktemp("leaves") / "leaves", others=5)


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processors, as if they were two devices."""
    monkeypatch.setattr(train, "placement", lambda *_: Placement("cpu", (0, 1), port=_free_port()))


@given(
    images=st.integers(1, 50), steps=st.integers(1, 6), ranks=st.integers(1, 4), epoch=st.integers(0, 9),
    balanced=st.booleans(),
)  # fmt: skip
def test_all_devices_together_see_what_one_would(
    images: int, steps: int, ranks: int, epoch: int, balanced: bool
) -> None:
    batch, weights = steps * ranks, torch.rand(images) + 0.1 if balanced else None
    alone = EpochSampler(images, 3, weights, batch)
    parts = [EpochSampler(images, 3, weights, batch, Share(rank, ranks)) for rank in range(ranks)]
    for sampler in (alone, *parts):
        sampler.set_epoch(epoch)
    drawn, drawn_by = list(alone), [list(sampler) for sampler in parts]
    assert [len(each) for each in drawn_by] == [len(sampler) for sampler in parts], "what it says"
    assert len({len(each) for each in drawn_by}) == 1, "none waits for another"
    for step in range(images // batch):
        together = [draw for each in drawn_by for draw in each[step * batch // ranks : (step + 1) * batch // ranks]]
        assert sorted(together) == sorted(drawn[step * batch : (step + 1) * batch])
    assert len(drawn) - sum(map(len, drawn_by)) < ranks


@given(st.integers(1, 30), st.integers(1, 5))
def test_answers_come_back_in_the_order_of_the_images(images: int, of: int) -> None:
    whole = torch.rand(images, 3)
    parts = [torch.as_tensor(Share(rank, of).part(whole)) for rank in range(of)]
    assert torch.equal(Share.joined(parts), whole)


def test_two_devices_train_as_one_and_go_on_as_if_nothing_had_happened(
    leaves: PreparedDataset, tmp_path: Path, two: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No batch norms, whose statistics are of each device's own images. The first epoch trains the last layer alone.
    config = leaf_config(
        model={"architecture": "test_vit"}, training={"epochs": 3, "head_epochs": 1, "label_smoothing": 0.0}
    )
    together, cut, rest = Watching(), Watching(after=2), Watching()
    weights = ENGINE.train(leaf_job(tmp_path / "two", leaves, config), together, resume=False)
    assert together.begun[0]["lightning.devices"] == 2
    assert together.begun[1:] == (9, 0), "three batches of four images an epoch"
    with pytest.raises(HandfulError, match="training failed"):
        ENGINE.train(leaf_job(tmp_path / "cut", leaves, config), cut, resume=False)
    again = ENGINE.train(leaf_job(tmp_path / "cut", leaves, config), rest, resume=True)
    assert set(rest.epochs) == {2, 3}
    assert again.read_bytes() == weights.read_bytes()

    monkeypatch.undo()
    alone = Watching()
    single = ENGINE.train(leaf_job(tmp_path / "one", leaves, config), alone, resume=False)
    for number, metrics in alone.epochs.items():
        for name in ("train/loss", "val/loss", "val/accuracy", "val/macro_f1", "lr"):
            assert together.epochs[number][name] == pytest.approx(metrics[name], abs=1e-4), (number, name)
    both = [read_weights(path)[0].state_dict() for path in (weights, single)]
    assert all(torch.allclose(both[0][key], both[1][key], atol=1e-4) for key in both[0])


def test_what_ends_another_device_s_process_is_said(tmp_path: Path, two: None) -> None:
    leaves = leaf_folder(tmp_path / "leaves")
    second = list(leaves.split("val"))[1][0]  # The other process validates on it.
    second.write_bytes(b"no image")
    with pytest.raises(HandfulError) as caught:
        ENGINE.train(leaf_job(tmp_path / "run", leaves, leaf_config()), Watching(), resume=False)
    assert "onnection" not in str(caught.value), "that this process lost the other one is not what happened"
    assert not torch.distributed.is_initialized(), "the next training begins anew"


def test_no_process_is_left_when_the_first_is_killed(leaves: PreparedDataset, tmp_path: Path) -> None:
    # It waits for a first process that never comes.
    place = Placement("cpu", (0, 1), rank=1, port=_free_port())
    with ranks._start(leaf_job(tmp_path, leaves, leaf_config()), place, None) as process:
        try:
            assert ranks._answer(process) is None, "it is ready"
            assert process.stdin is not None
            process.stdin.close()  # As the system does when a process is killed.
            assert process.wait(30) == 1
        finally:
            process.kill()


def test_fewer_images_than_devices_are_refused(leaves: PreparedDataset) -> None:
    config = leaf_config()
    network = Network.of(config, leaves.classes)
    ClassFolders(leaves, network, config, 0, Share(0, 6))
    with pytest.raises(ConfigError, match="12 training and 15 validation images are too few for 7 devices"):
        ClassFolders(leaves, network, config, 0, Share(0, 7))


def test_an_estimate_is_of_the_first_device_s_share(
    leaves: PreparedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Placement("cpu", (0, 1), port=1)
    monkeypatch.setattr("handful_trainer.tasks.classification.training.estimate.placement", lambda _: place)
    config = leaf_config(training={"head_epochs": 1})
    found = ENGINE.estimate(leaf_job(tmp_path, leaves, config))
    assert (found.train_images, found.val_images, found.batches) == (12, 15, 3)
    assert place.alone() == replace(Placement("cpu"), devices=(0,))
    assert found.seconds == pytest.approx(2 * found.epoch_seconds)
    assert found.disk_bytes == 20 * found.parameters
    with_none = leaf_config(training={"ema": 0})
    assert ENGINE.estimate(leaf_job(tmp_path / "b", leaves, with_none)).disk_bytes == 16 * found.parameters
