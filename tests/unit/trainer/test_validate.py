from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fakes.exports import yolo_folder
from handful_core.errors import ConfigError
from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.tasks.detection.settings import DetectionConfig
from handful_trainer.tasks.detection.task import validate_against_dataset

BOX = "0 0.5 0.5 0.25 0.5\n"


def config(**sections: Any) -> DetectionConfig:
    return DetectionConfig.model_validate({"dataset": {"source": "sample"}, **sections})


@pytest.fixture
def pets(tmp_path: Path) -> PreparedDataset:
    """Cats and dogs, which count nothing."""
    return PreparedDataset.open(yolo_folder(tmp_path / "pets", {"train/a.jpg": BOX, "val/b.jpg": BOX}))


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"training": {"single_cls": True}}, r"training\.single_cls .* the one class item"),
        ({"gate": {"metric": "count_accuracy"}}, r"no class of the dataset counts anything: set dataset\.counts"),
    ],
)
def test_what_would_fail_after_the_training_is_refused_before(
    pets: PreparedDataset, sections: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        validate_against_dataset(config(**sections), pets)


def test_what_works_is_let_through(pets: PreparedDataset) -> None:
    validate_against_dataset(config(), pets)
    validate_against_dataset(config(gate={"metric": "count_accuracy"}), pets, register=False)
