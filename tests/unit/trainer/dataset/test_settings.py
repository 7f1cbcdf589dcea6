from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from handful_core.errors import ConfigError
from handful_trainer.dataset.settings import SOURCES_GROUP, DatasetConfig, SourceName, class_values
from handful_trainer.dataset.sources import registry as sources
from handful_trainer.dataset.sources.registry import SOURCES, find_source, open_source


def test_every_source_that_can_be_named_exists() -> None:
    assert set(SOURCES) < set(get_args(SourceName))
    for name in get_args(SourceName):
        assert callable(find_source(name).read)


def test_a_source_that_is_not_installed_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "entry_points", lambda **which: ())
    with pytest.raises(ConfigError) as caught:
        open_source(DatasetConfig(source="sample"), Path())
    assert str(caught.value) == "the dataset source sample is not installed: install the package handful-quickstart"


def test_a_source_that_cannot_be_imported_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = EntryPoint("sample", "no_such_package:Source", SOURCES_GROUP)
    monkeypatch.setattr(sources, "entry_points", lambda **which: (broken,))
    with pytest.raises(ConfigError, match=r"cannot be loaded \(.*no_such_package.*\): install the package handful-q"):
        find_source("sample")


def test_another_distribution_s_source_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metadata = tmp_path / "other-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[{SOURCES_GROUP}]\nmine = other_source:Mine\n")
    (tmp_path / "other_source.py").write_text(
        "class Mine:\n    def __init__(self, config, home): self.config = config\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    source = open_source(DatasetConfig(source="mine"), tmp_path)
    assert type(source).__name__ == "Mine"


def test_class_names_that_yaml_reads_as_numbers_are_words() -> None:
    config = DatasetConfig.model_validate(
        {"source": "yolo", "path": "x", "classes": [0, 1, "unknown"], "counts": {1: 1}}
    )
    assert config.classes == ("0", "1", "unknown")
    assert config.counts == {"1": 1}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"source": "sample", "path": "x"}, "leave out path"),
        ({"source": "yolo"}, "needs a path"),
        ({"source": "yolo", "path": "x", "images": "y"}, "coco, voc, csv and label-studio only"),
        ({"source": "folder"}, "needs a path"),
        ({"source": "folder", "path": "x", "csv": {"label": "y"}}, "csv belongs to the source csv only"),
        ({"source": "csv", "path": "x", "csv": {"encoding": "utf-99"}}, "there is no such encoding"),
        ({"source": "yolo", "path": "x", "classes": ["a", "a"]}, "distinct: a"),
        ({"source": "yolo", "path": "x", "classes": ["a"], "counts": {"b": 1}}, "do not exist: b"),
        ({"source": "sample", "split": {"train": 0.9}}, "sum to 1, not to 1.1"),
        ({"source": "sample", "split": {"train": 1, "val": 0, "test": 0}}, "less than 1"),
        ({"source": "sample", "classes": [" a"]}, "pattern"),
        ({"source": "sample", "colour": 1}, "Extra inputs"),
        ({"source": "sample", "check": "structure"}, "set keep_together.near_duplicates to -1"),
        ({"source": "picsell"}, "Input should be"),
        ({"source": "picsellia", "picsellia": {"dataset": "x"}}, "needs picsellia.dataset and picsellia.version"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        DatasetConfig.model_validate(settings)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        DatasetConfig(source="sample").seed = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("path", "title"),
    [
        ("data/fingers-315", "fingers-315"),
        ("my photos/data.yaml", "my-photos"),
        ("coco/instances_val.json", "instances_val"),
    ],
)
def test_the_name_comes_from_the_path(path: str, title: str) -> None:
    assert DatasetConfig(source="yolo", path=Path(path)).title == title
    assert DatasetConfig(source="yolo", path=Path(path), name="mine").title == "mine"


def test_drawn_hands_are_called_drawn() -> None:
    assert "drawn" in DatasetConfig(source="sample").title


def test_classes_named_by_numbers_count_what_they_say() -> None:
    assert class_values(("0", "5", "unknown", "²"), None) == {"0": 0, "5": 5}
    assert class_values(("one", "two"), {"two": 2, "three": 3}) == {"two": 2}
