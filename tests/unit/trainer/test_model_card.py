from __future__ import annotations

from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException

from fakes.packages import build_package
from handful_core.package import Manifest
from handful_core.registry import Version
from handful_trainer.registration.model_card import describe_version, model_card

VERSION = Version("fingers", 3)


def manifest(folder: Path, **changes: object) -> Manifest:
    return build_package(folder / "package").manifest.model_copy(update=changes)


def test_a_card_has_metrics_by_class(tmp_path: Path) -> None:
    metrics = {"mAP50_95": 0.91234, "images": 30, "per_class": {"5": {"boxes": 12, "f1": 0.5, "mAP50": 1.0}}}
    card = model_card(manifest(tmp_path, metrics=metrics), VERSION, "ab")
    assert "| mAP50_95 | 0.912 |" in card
    assert "| class | counts | boxes | f1 | mAP50 |" in card
    assert "| 5 | 5 | 12 | 0.500 | 1.000 |" in card
    assert "(get-artifact?path=model-card%2Fexample.jpg&run_uuid=ab)" in card
    assert "get-artifact" not in model_card(manifest(tmp_path / "b", metrics=metrics), VERSION, None)


def test_what_was_not_measured_is_said(tmp_path: Path) -> None:
    assert "None were measured." in model_card(manifest(tmp_path, metrics={}), VERSION, None)


def test_a_thousand_classes_fit(tmp_path: Path) -> None:
    names = tuple(f"a class with a rather long name {number}" for number in range(1000))
    card = model_card(manifest(tmp_path, classes=names, counts={}), VERSION, "ab")
    assert len(card) <= 5000
    assert "more: see `manifest.json`" in card
    assert "## How to call it" in card


def test_a_class_s_name_is_no_markdown(tmp_path: Path) -> None:
    card = model_card(manifest(tmp_path, classes=("a|b\n# c", "<img src=x>"), counts={}), VERSION, None)
    assert "| a\\|b \\# c |" in card
    assert "&lt;img src=x&gt;" in card


class Away:
    """A server that is gone, or refuses."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def log_artifact(self, *_: object) -> None:
        raise self._error


def test_a_lost_server_costs_the_card_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    package = build_package(tmp_path / "package")
    describe_version(Away(ConnectionError("gone")), package, VERSION, "ab")  # type: ignore[arg-type]
    assert "fingers version 3 has no model card" in caplog.text
    refusing = Away(MlflowException("no", error_code=1000))
    with pytest.raises(MlflowException):
        describe_version(refusing, package, VERSION, "ab")  # type: ignore[arg-type]
