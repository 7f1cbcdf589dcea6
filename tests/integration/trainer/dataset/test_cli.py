"""`handful data`, as it is called."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from fakes.exports import twelve
from handful_core.cli.main import main


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main(["data", *words])
    captured = capsys.readouterr()
    return int(stop.value.code or 0), captured.out, captured.err


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HANDFUL_HOME", str(tmp_path / "var"))
    folder = twelve(tmp_path / "pets").folder
    path = tmp_path / "pets.yaml"
    dataset = {"source": "picsellia-export", "path": str(folder), "classes": ["cat", "dog"]}
    path.write_text(yaml.safe_dump({"dataset": dataset}))
    return path


def test_prepare_reports(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HANDFUL_MLFLOW_URI", "http://127.0.0.1:9")
    code, out, err = run(capsys, "prepare", "--config", str(config), "--json")
    report = json.loads(out)
    assert code == 0
    assert err.count("without asking for the splits of") == 1, "no MLflow is there"
    assert report["usable_images"] == 12
    assert Path(report["folder"]).parent == tmp_path / "var" / "datasets"
    assert Path(report["data_yaml"]).is_file()
    code, out, err = run(capsys, "prepare", "--config", str(config))
    assert code == 0
    assert "cat" in out
    assert "12 of 12 assets are usable" in err
    assert "report.html" in err


def test_prepare_takes_overrides_and_an_output_folder(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--set", "dataset.name=mine", "--set", "dataset.seed=3", "--output", str(tmp_path / "here"), "--json"]
    code, out, _ = run(capsys, "prepare", "--config", str(config), *words)
    assert code == 0
    assert json.loads(out)["name"] == "mine"
    assert (tmp_path / "here" / "images" / "train").is_dir()


@pytest.mark.parametrize(
    ("override", "code", "words"),
    [
        ("dataset.path=nowhere", 3, "the folder nowhere does not exist: correct dataset.path"),
        ("dataset.classes=[cat, dgo]", 3, "did you mean 'dgo'?"),
        ("dataset.classes=[cow]", 3, "the label 'cat' is not one of the classes cow"),
        ("dataset.sorce=yolo", 2, "dataset.source"),
        ("dataset.sources=yolo", 2, "give either source or sources"),
        ("dataset.split.train=0.5", 2, "must sum to 1"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    config: Path, capsys: pytest.CaptureFixture[str], override: str, code: int, words: str
) -> None:
    found, out, err = run(capsys, "prepare", "--config", str(config), "--set", override)
    assert found == code
    assert out == ""
    assert words in err
    assert len(err.strip().splitlines()) == 1


def test_sample_draws_a_yolo_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "hands"
    code, out, _ = run(capsys, "sample", str(target), "--images", "20", "--size", "64", "--seed", "4", "--json")
    assert code == 0
    assert sum(json.loads(out)["images"].values()) == 20
    assert "no photos" in (target / "data.yaml").read_text()
    code, _, err = run(capsys, "sample", str(target))
    assert code == 2
    assert "exists and is not empty" in err
    code, _, err = run(capsys, "sample", str(tmp_path / "other"), "--size", "5")
    assert code == 2
    assert "size" in err
