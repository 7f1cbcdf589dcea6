"""Which precisions a package allows: the end of an interval decides, and too few images are said to be too few."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fakes.packages import build_package
from handful_core.cli.main import main
from handful_core.errors import ConfigError
from handful_core.package import GoldenTolerance
from handful_core.runtime.execution import Execution
from handful_core.vision.agreement import Agreement
from handful_trainer.packaging import precision as module
from handful_trainer.packaging.precision import Trial, _tolerance, wanted

EXACT = Agreement(matched=2, unmatched=0, worst_iou=1.0, worst_score_gap=0.0)
TRIAL = Trial(
    Execution("openvino", "bf16"), None, "mAP50_95", 0.83, 0.829, (-0.002, 0.004), 316, 0.005, EXACT, 1.8, 5.9
)


@pytest.mark.parametrize(
    ("changes", "outcome", "words"),
    [
        ({}, "allowed", "it loses 0.10 points of mAP50_95 (95 % interval -0.20 to 0.40), within the tolerance of 0.50"),
        ({"interval": (-0.002, 0.005)}, "allowed", "within"),
        ({"value": 0.80, "interval": (0.02, 0.04)}, "refused", "it loses 3.00 points of mAP50_95 (95 % interval 2.00"),
        ({"value": 0.82, "interval": (0.002, 0.02)}, "refused", "more than the tolerance of 0.50"),
        ({"interval": (-0.006, 0.009)}, "too few images", "316 test images are too few to say, about 1270 would tell"),
        ({"images": 99}, "too few images", "99 test images are too few to say, about 100 would tell"),
        ({"value": 0.84, "interval": (-0.02, -0.001), "images": 19}, "too few images", "19 test images are too few"),
        ({"golden": replace(EXACT, worst_score_gap=0.11)}, "refused", "too far from FP32's"),
        ({"golden": replace(EXACT, unmatched=1)}, "refused", "1 have no partner"),
        ({"golden": replace(EXACT, worst_iou=0.85)}, "refused", "worst IoU 0.8500"),
        ({"tolerance": 0.0, "value": 0.83, "interval": (0.0, 0.0)}, "allowed", "within the tolerance of 0.00"),
    ],
)
def test_the_end_of_the_interval_decides(changes: dict[str, Any], outcome: str, words: str) -> None:
    trial = replace(TRIAL, **changes)
    assert trial.outcome == outcome
    assert words in trial.reason


def test_what_is_allowed_is_recorded() -> None:
    entry = replace(TRIAL, golden=replace(EXACT, worst_score_gap=0.02, worst_iou=0.98)).entry()
    assert (entry.precision, entry.backend, entry.model) == ("bf16", "openvino", None)
    assert (entry.loss.value, entry.loss.interval, entry.loss.images) == (0.001, (-0.002, 0.004), 316)
    assert (entry.loss.tolerance, entry.speed_up) == (0.005, 1.8)
    assert entry.golden == GoldenTolerance(score_gap=0.04, iou=0.96)
    assert entry.processor


def test_the_golden_tolerance_is_neither_tighter_than_fp32s_nor_wider_than_what_is_allowed() -> None:
    assert _tolerance(EXACT) == GoldenTolerance(score_gap=0.01, iou=0.99)
    assert _tolerance(replace(EXACT, worst_score_gap=0.09, worst_iou=0.91)) == GoldenTolerance(score_gap=0.1, iou=0.9)


def test_what_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "is_installed", lambda: True)
    monkeypatch.setattr(module, "computes_bf16", lambda: True)
    assert [wanted("bf16"), wanted("int8"), wanted("auto")] == [["bf16"], ["int8"], ["bf16", "int8"]]
    monkeypatch.setattr(module, "computes_bf16", lambda: False)
    assert wanted("auto") == ["int8"]
    with pytest.raises(ConfigError, match="does not compute in BF16, so nothing can be proved here"):
        wanted("bf16")
    monkeypatch.setattr(module, "is_installed", lambda: False)
    assert wanted("auto") == ["int8"]
    with pytest.raises(ConfigError, match="BF16 needs OpenVINO, which is not installed"):
        wanted("bf16")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--precision", "auto"], "--precision needs --data"),
        (["--precision", "int8", "--quantize", "int8", "--data", "."], "make two different packages"),
        (["--precision", "fp8", "--data", "."], "fp8"),
        (["--precision", "auto", "--data", "nowhere"], "nowhere"),
        (["--precision", "auto", "--data", ".", "--tolerance", "101"], "less than or equal to 100"),
    ],
)
def test_wrong_options_are_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    package = build_package(tmp_path / "p").root
    output = tmp_path / "out.zip"
    code = _run(["package", "--package", str(package), "--output", str(output), *words])
    told = capsys.readouterr().err
    assert code in {2, 3}
    assert message in told.replace("\n", " ")
    assert "Traceback" not in told
    assert not output.exists()


def _run(words: list[str]) -> int:
    try:
        return main(words) or 0
    except SystemExit as end:
        return int(end.code or 0)
