"""Backups made by 0.1 come in as before; tests/made_by_0.1/README.md says how they were made."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from fakes.packages import encode, picture, square_box, sure
from handful import load
from handful_core.registry import Registry
from support.backed_up_mlflow import Handful, Mlflow
from support.contents import rows_of

_SEVEN = encode(picture({(2, 3): "5", (5, 6): "2"}))
_SHARPNESS = 8.0
_NOTHING = "all of it is there already, nothing to do"


@pytest.fixture
def backups(repository: Path) -> Path:
    return repository / "tests" / "made_by_0.1" / "backups"


def test_an_exact_one_comes_into_an_embedded_server(
    backups: Path, blank: Mlflow, handful: Handful, capsys: pytest.CaptureFixture[str]
) -> None:
    backup = backups / "exact.zip"
    assert handful("verify", backup) == 0
    assert handful("import", backup, *blank.exact) == 0
    assert handful("verify", backup, "--server", *blank.exact) == 0
    _assert_rows_are_there(rows_of(blank.database))
    capsys.readouterr()
    assert handful("import", backup, *blank.exact) == 0
    assert _NOTHING in capsys.readouterr().err
    blank.server.start()
    try:
        _assert_the_champion_answers(blank.server.uri)
    finally:
        blank.server.kill()


def test_a_portable_one_comes_in_over_rest(backups: Path, other: Mlflow, handful: Handful) -> None:
    backup = backups / "portable.zip"
    assert handful("verify", backup) == 0
    assert handful("import", backup, server=other.server) == 0
    assert handful("verify", backup, "--server", "--way", "portable", server=other.server) == 0
    _assert_the_champion_answers(other.server.uri)


def _assert_rows_are_there(rows: dict[str, list[tuple[object, ...]]]) -> None:
    assert sorted((row[3], row[5]) for row in rows["metrics"]) == [
        (n, v) for n, v in enumerate((0.5, 0.6, 0.7)) for _ in "12"
    ]
    assert [row[:3] for row in rows["registered_model_aliases"]] == [("champion", "squares", 2)]
    assert len(rows["params"]) == 4


def _assert_the_champion_answers(uri: str) -> None:
    with Registry(uri) as registry:
        champion = registry.version("squares", "champion")
        assert (champion.version, champion.tags["note"]) == (2, "made by 0.1")
    assert champion.run_id
    run = (
        httpx.get(f"{uri}/api/2.0/mlflow/runs/get", params={"run_id": champion.run_id}).raise_for_status().json()["run"]
    )
    assert {param["key"]: param["value"] for param in run["data"]["params"]}["training.epochs"] == "3"
    model = load("models:/squares@champion", mlflow_uri=uri)
    answer = model.predict(_SEVEN)
    assert {found.box for found in answer.detections} == {square_box(2, 3), square_box(5, 6)}
    assert answer.count == 7
    assert answer.detections[0].confidence == pytest.approx(sure(_SHARPNESS), abs=1e-3)
