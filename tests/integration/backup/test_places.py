"""Servers whose artifacts lie in a folder: of this machine, or of another one."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from handful_backup.archive import BackupReader
from support.backed_up_mlflow import Handful, Mlflow

_API = "/api/2.0/mlflow"


def _post(mlflow: Mlflow, path: str, **body: object) -> dict[str, object]:
    answer = httpx.post(f"{mlflow.server.uri}{_API}/{path}", json=body, timeout=60)
    return dict(answer.raise_for_status().json())


def _run(mlflow: Mlflow, experiment: str, place: Path) -> Path:
    """Make an experiment whose artifacts lie in a folder, with a run; the run's own folder, which is not made."""
    number = _post(mlflow, "experiments/create", name=experiment, artifact_location=str(place))["experiment_id"]
    run = _post(mlflow, "runs/create", experiment_id=number)["run"]
    return Path(run["info"]["artifact_uri"])  # type: ignore[index]


@pytest.mark.parametrize("way", ["exact", "portable"])
def test_a_folder_of_another_machine_is_named(
    live: Mlflow, handful: Handful, tmp_path: Path, capsys: pytest.CaptureFixture[str], way: str
) -> None:
    far, near, unused = f"far {way}", f"near {way}", f"unused {way}"
    _run(live, far, tmp_path / "not here" / "far")
    (tmp_path / "unused").mkdir()
    _run(live, unused, tmp_path / "unused")  # Of this machine, and nothing was ever logged to it.
    folder = _run(live, near, tmp_path / "near")
    folder.mkdir(parents=True)
    (folder / "note.txt").write_text("here")
    chosen = [word for name in (far, near, unused) for word in ("--experiment", name)]
    options = live.exact if way == "exact" else ["--way", "portable"]
    backup = tmp_path / "b.zip"
    assert handful("export", "--out", backup, *chosen, *options, server=live.server) == 0
    assert f"not read: 1 artifacts or folders of them, such as {tmp_path}/not here/far" in _said(capsys)
    with BackupReader(backup) as reader:
        assert reader.manifest.unreadable == [f"{tmp_path}/not here/far"]
        assert [name.rpartition("/")[2] for name in reader.artifacts] == ["note.txt"]
    assert handful("verify", backup) == 0
    assert "not in it, as they could not be read: 1 artifacts" in _said(capsys)


def test_nothing_is_sent_into_a_folder_of_another_machine(
    live: Mlflow, handful: Handful, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = _run(live, "moved", tmp_path / "moved")
    folder.mkdir(parents=True)
    (folder / "note.txt").write_text("here")
    backup = tmp_path / "b.zip"
    assert handful("export", "--out", backup, "--experiment", "moved", server=live.server) == 0
    away = tmp_path / "not here" / "moved"
    _post(live, "experiments/create", name="copy-moved", artifact_location=str(away))
    words = ["import", backup, "--rename-prefix", "copy-"]
    assert handful(*words, server=live.server) == 2
    assert f"MLflow keeps artifacts in the folder {away}, which this machine does not have" in _said(capsys)
    assert not away.exists()
    away.mkdir(parents=True)
    assert handful(*words, server=live.server) == 0
    assert [path.read_text() for path in away.rglob("*.txt")] == ["here"]


def _said(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().err.split())
