"""What docs/howto/back-up-and-restore.md tells people to run, run with its own words."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from fakes.packages import encode, picture
from handful_core.registry import Registry
from support.backed_up_mlflow import Handful, Mlflow
from support.contents import files_in, rows_of
from support.mlflow_server import MlflowServer, free_port
from support.serving_process import ServingProcess

_SEVEN = encode(picture({(2, 3): "5", (5, 6): "2"}))
_EXACT = "--database sqlite:///drill.db --artifacts ./drill"
_PORTABLE = "--way portable"
_PAGE = Path("docs", "howto", "back-up-and-restore.md")


def _commands(repository: Path, heading: str, after: str = "") -> str:
    """The commands below a heading of the page: the first block after some words."""
    page = (repository / _PAGE).read_text(encoding="utf-8")
    section = page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    section = section.partition(after)[2] if after else section
    block = re.search(r"^```bash\n(.+?)^```$", section, re.MULTILINE | re.DOTALL)
    assert block
    return block[1]


@pytest.mark.parametrize("way", [_PORTABLE, _EXACT], ids=["portable", "exact"])
def test_the_drill_ends_with_the_backup_s_champion(
    way: str, repository: Path, used: Mlflow, used_zip: Path, tmp_path: Path
) -> None:
    shutil.copy(used_zip, tmp_path / "BACKUP.zip")
    (tmp_path / "photo.jpg").write_bytes(_SEVEN)
    commands = _commands(repository, "A restore drill")
    page = (repository / _PAGE).read_text(encoding="utf-8")
    assert commands.count(_PORTABLE) == 2
    assert f"write `{_EXACT}` instead of `{_PORTABLE}`, both times" in " ".join(page.split())
    commands = commands.replace(_PORTABLE, way)
    for usual in ("5999", "8999"):  # They may be taken here.
        commands = commands.replace(usual, str(free_port()))
    done = _run(commands, tmp_path)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    said = " ".join(done.stderr.split())
    assert "BACKUP.zip is whole" in said
    assert f"the server holds all of it ({'portable' if way == _PORTABLE else 'exact'})" in said
    assert "fingers version 2" in " ".join((done.stdout + done.stderr).split())


def _run(commands: str, folder: Path) -> subprocess.CompletedProcess[str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith(("HANDFUL_", "MLFLOW_"))}
    own |= {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{own['PATH']}", "NO_PROXY": "127.0.0.1"}
    own |= {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_WORKERS": "1"}
    with subprocess.Popen(
        ["bash", "-e", "-c", commands],
        cwd=folder,
        env=own,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            out, err = process.communicate(timeout=600)
        finally:
            with suppress(ProcessLookupError):  # A command that failed leaves the servers.
                os.killpg(process.pid, signal.SIGKILL)
    return subprocess.CompletedProcess(commands, process.returncode, out, err)


@pytest.mark.parametrize("begun", [False, True], ids=["of nothing", "of a home with the starter"])
def test_the_way_back_without_docker_ends_with_the_backup_s_champion(
    begun: bool,
    repository: Path,
    used: Mlflow,
    used_zip: Path,
    starter: Path,
    handful: Handful,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    commands = _commands(repository, "After a loss", "Without Docker:").splitlines()
    assert commands == ["scripts/import.sh --embedded BACKUP.zip", "scripts/serve.sh --embedded"]
    if begun:
        assert handful("import", "--embedded", "--as-starter", starter) == 0
    # What the script runs, once it has installed Handful.
    assert handful("import", "--embedded", used_zip) == 0
    home = tmp_path / "var" / "mlflow"
    here = Mlflow(MlflowServer(home, database=f"sqlite:///{home / 'mlflow.db'}"), f"sqlite:///{home / 'mlflow.db'}", "")
    assert rows_of(here.database) == rows_of(used.database)
    assert files_in(home / "artifacts") == files_in(Path(used.artifacts))
    capsys.readouterr()
    assert handful("import", "--embedded", used_zip) == 0
    assert capsys.readouterr().err.endswith(f"{used_zip}: all of it is there already, nothing to do\n")
    if not begun:
        return
    here.server.start()
    serving = ServingProcess(tmp_path / "serving", here.server.uri).start()
    try:
        answer = httpx.post(f"{serving.url}/predict", files={"image": ("hand.png", _SEVEN)}, timeout=30).json()
    finally:
        serving.stop()
        here.server.kill()
    assert (answer["model"], answer["version"], answer["count"]) == ("fingers", 2, 7)


def test_an_embedded_import_takes_no_other_server(
    handful: Handful, other: Mlflow, used_zip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = rows_of(other.database)
    assert handful("import", "--embedded", used_zip, "--dry-run", server=other.server) == 2  # There is none yet.
    assert handful("import", "--embedded", used_zip, "--way", "portable", server=other.server) == 2
    monkeypatch.setenv("HANDFUL_BACKUP_DATABASE_URL", other.database)
    assert handful("import", "--embedded", used_zip, server=other.server) == 2
    assert not (tmp_path / "var" / "mlflow").exists()
    monkeypatch.delenv("HANDFUL_BACKUP_DATABASE_URL")
    assert handful("import", "--embedded", used_zip, server=other.server) == 0
    assert rows_of(other.database) == before


def test_copies_are_named_by_their_own_names(
    used: Mlflow, used_zip: Path, live: Mlflow, handful: Handful, capsys: pytest.CaptureFixture[str]
) -> None:
    assert handful("import", used_zip, "--rename-prefix", "copy-", server=live.server) == 0
    found = httpx.post(
        f"{live.server.uri}/api/2.0/mlflow/logged-models/search", json={"experiment_ids": _all(live)}, timeout=60
    ).json()["models"]
    tags = [{tag["key"]: tag["value"] for tag in model["info"]["tags"]} for model in found]
    named = sorted(
        tag["mlflow.modelVersions"] for tag in tags if tag.get("handful.source_model", "").startswith("copy-")
    )
    assert named == [f'[{{"name": "copy-fingers", "version": {number}}}]' for number in (1, 2)]
    with Registry(live.server.uri) as registry:
        assert registry.version("copy-fingers", "champion").version == 2
    capsys.readouterr()
    assert handful("import", used_zip, "--rename-prefix", "copy-", server=live.server) == 0
    assert "all of it is there already, nothing to do" in capsys.readouterr().err


def _all(mlflow: Mlflow) -> list[str]:
    body = {"view_type": "ALL", "max_results": 100}
    answer = httpx.post(f"{mlflow.server.uri}/api/2.0/mlflow/experiments/search", json=body, timeout=60).json()
    return [experiment["experiment_id"] for experiment in answer["experiments"]]
