from __future__ import annotations

import os
from pathlib import Path

import pytest

from fakes.exports import twelve
from handful_trainer.dataset.preparation.index import Index, state_of
from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.dataset.sources.registry import open_source


def index(folder: Path, home: Path, seed: int = 0) -> Index:
    config = DatasetConfig(source="picsellia-export", path=folder, seed=seed)
    return Index.of(config, open_source(config, home), home, None)


@pytest.fixture
def export(tmp_path: Path) -> Path:
    return twelve(tmp_path / "export").folder


def test_the_same_state_is_known_again(export: Path, tmp_path: Path) -> None:
    assert index(export, tmp_path).find() is None
    index(export, tmp_path).remember(export)
    assert index(export, tmp_path).find() == export.resolve()
    assert index(export, tmp_path, seed=1).find() is None


@pytest.mark.parametrize("name", ["annotations.json", "assets.json", "assets/asset-03.jpg"])
def test_a_file_that_changed_is_noticed(export: Path, tmp_path: Path, name: str) -> None:
    index(export, tmp_path).remember(export)
    state = (export / name).stat()
    os.utime(export / name, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    assert index(export, tmp_path).find() is None


def test_files_that_come_and_go_are_noticed(export: Path) -> None:
    before = state_of([export])
    (export / "assets" / "new.jpg").touch()
    after = state_of([export])
    (export / "assets" / "new.jpg").unlink()
    assert before != after
    assert state_of([export]) == before


def test_what_training_leaves_behind_is_no_change(export: Path) -> None:
    before = state_of([export])
    (export / "assets.cache").touch()
    assert state_of([export]) == before


def test_a_link_that_leads_nowhere_is_a_state_too(export: Path) -> None:
    (export / "assets" / "lost.jpg").symlink_to(export / "gone.jpg")
    assert state_of([export]) == state_of([export])


def test_a_damaged_memory_is_no_memory(export: Path, tmp_path: Path) -> None:
    known = index(export, tmp_path)
    known.remember(export)
    known.path.write_text("{")
    assert known.find() is None
    known.path.write_text("[]")
    assert known.find() is None


def test_images_are_counted_by_their_names(export: Path) -> None:
    (export / "assets" / "More.JPEG").touch()
    (export / "assets" / "jpg.txt").touch()
    assert state_of([export / "assets", export / "assets.json"]).images == 13
