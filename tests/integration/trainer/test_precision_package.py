"""`handful package --precision`, with real graphs: what is proved is in the package, what is not is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fakes.packages import INT8, build_package
from fakes.squares import SCENES, write_squares
from handful_core.cli.main import main
from handful_core.package import open_package, seen_by
from handful_core.runtime.execution import Execution, executions, session_maker
from handful_core.runtime.model import load_model
from handful_trainer.packaging import precision


@pytest.fixture(autouse=True)
def onnxruntime_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where neither OpenVINO nor NNCF is installed."""
    monkeypatch.setattr(precision, "nncf_is_installed", lambda: False)
    monkeypatch.setattr(precision, "is_installed", lambda: False)


def _package(tmp_path: Path, scenes: int, *words: str) -> int:
    data = write_squares(tmp_path / "squares", (SCENES * scenes)[:scenes])
    package = build_package(tmp_path / "package").root
    named = ["--package", str(package), "--data", str(data), "--output", str(tmp_path / "out")]
    with pytest.raises(SystemExit) as ended:
        main(["package", *named, "--precision", "int8", "--json", *words])
    return int(ended.value.code or 0)


def test_what_is_proved_is_in_the_package(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert _package(tmp_path, 100, "--tolerance", "5") == 0
    found = json.loads(capfd.readouterr().out)
    assert found["precisions"] == [{"backend": "onnxruntime", "precision": "int8"}]
    (trial,) = found["trials"]
    assert (trial["outcome"], trial["images"], trial["tolerance"]) == ("allowed", 100, 0.05)
    with open_package(tmp_path / "out") as package:
        (entry,) = package.manifest.precisions
        assert (entry.model, package.manifest.model, package.manifest.precision) == (INT8, "model.onnx", "fp32")
        assert entry.loss.interval == pytest.approx(tuple(trial["interval"]), abs=1e-6)
        assert len(seen_by(package).phashes) == 2 * len(SCENES), "what calibrates has been seen"
        assert [str(each) for each in executions(package.manifest, ["onnxruntime"])][1:] == ["onnxruntime int8"]
        execution = Execution("onnxruntime", "int8")
        assert load_model(package, 1, session_maker(execution), execution).precision == "int8"


def test_too_few_images_are_too_few(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert _package(tmp_path, len(SCENES), "--tolerance", "5") == 8
    assert f"{len(SCENES)} test images are too few to say" in capfd.readouterr().err.replace("\n", " ")
    assert not (tmp_path / "out").exists()
