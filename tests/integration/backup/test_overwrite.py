"""What `--overwrite` replaces, and what an import without it leaves as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from handful_core.registry import Registry
from support.backed_up_mlflow import Handful, Mlflow
from support.contents import files_in, rows_of

_API = "/api/2.0/mlflow"


def _ask(mlflow: Mlflow, method: str, path: str, **body: object) -> dict[str, Any]:
    answer = httpx.request(method, f"{mlflow.server.uri}{_API}/{path}", json=body, timeout=60)
    return dict(answer.raise_for_status().json())


def _run(mlflow: Mlflow, experiment: str) -> str:
    return str(_ask(mlflow, "POST", "runs/create", experiment_id=experiment)["run"]["info"]["run_id"])


def _points(mlflow: Mlflow, run: str) -> list[float]:
    query = {"run_id": run, "metric_key": "loss"}
    answer = httpx.get(f"{mlflow.server.uri}{_API}/metrics/get-history", params=query, timeout=60).raise_for_status()
    return [point["value"] for point in answer.json().get("metrics", [])]


def _copies(mlflow: Mlflow, experiment: str) -> dict[str, dict[str, Any]]:
    """The runs of an experiment that an import made, by the ids of old."""
    body = {"filter": f"name = '{experiment}'", "view_type": "ALL", "max_results": 1}
    (found,) = _ask(mlflow, "POST", "experiments/search", **body)["experiments"]
    body = {"experiment_ids": [found["experiment_id"]], "run_view_type": "ALL", "max_results": 100}
    runs = _ask(mlflow, "POST", "runs/search", **body)["runs"]
    return {_tags(run["data"])["handful.source_run"].removeprefix("copy-"): run for run in runs}


def _tags(thing: dict[str, Any]) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in thing.get("tags", ())}


def test_a_file_that_changed_and_kept_its_size_is_brought_back(
    embedded: Mlflow, exact_zip: Path, blank: Mlflow, handful: Handful
) -> None:
    assert handful("import", exact_zip, *blank.exact) == 0
    wanted = files_in(Path(embedded.artifacts))
    (big,) = Path(blank.artifacts).rglob("weights.bin")
    content = bytearray(big.read_bytes())
    content[7] ^= 1
    big.write_bytes(content)
    assert handful("import", exact_zip, *blank.exact) == 0
    assert files_in(Path(blank.artifacts)) != wanted
    assert handful("import", exact_zip, "--overwrite", *blank.exact) == 0
    assert files_in(Path(blank.artifacts)) == wanted


def _get(mlflow: Mlflow, path: str, **query: str) -> dict[str, Any]:
    answer = httpx.get(f"{mlflow.server.uri}{_API}/{path}", params=query, timeout=60)
    return dict(answer.raise_for_status().json())


def _state(mlflow: Mlflow, name: str) -> dict[str, Any]:
    """All that `_edit` changes."""
    experiment = _get(mlflow, "experiments/get-by-name", experiment_name=name)["experiment"]
    (run,) = _copies(mlflow, name).values()
    body = {"experiment_ids": [experiment["experiment_id"]]}
    (logged,) = _ask(mlflow, "POST", "logged-models/search", **body)["models"]
    model = _get(mlflow, "registered-models/get", name=name)["registered_model"]
    version = _get(mlflow, "model-versions/get", name=name, version="1")["model_version"]
    return {
        "experiment": (experiment["lifecycle_stage"], _tags(experiment)["note"]),
        "run": (run["info"]["lifecycle_stage"], _tags(run["data"])["note"]),
        "logged model": _tags(logged["info"])["note"],
        "model": (model.get("description"), _tags(model)["note"]),
        "version": (version.get("description"), _tags(version)["note"], version["current_stage"]),
    }


def _edit(mlflow: Mlflow, name: str) -> None:
    """Change what an import made."""
    experiment = _get(mlflow, "experiments/get-by-name", experiment_name=name)["experiment"]["experiment_id"]
    (run,) = (run["info"]["run_id"] for run in _copies(mlflow, name).values())
    body = {"experiment_ids": [experiment]}
    (logged,) = (m["info"]["model_id"] for m in _ask(mlflow, "POST", "logged-models/search", **body)["models"])
    note = {"key": "note", "value": "edited"}
    _ask(mlflow, "POST", "experiments/set-experiment-tag", experiment_id=experiment, **note)
    _ask(mlflow, "POST", "runs/set-tag", run_id=run, **note)
    _ask(mlflow, "PATCH", f"logged-models/{logged}/tags", model_id=logged, tags=[note])
    _ask(mlflow, "POST", "registered-models/set-tag", name=name, **note)
    _ask(mlflow, "PATCH", "registered-models/update", name=name, description="edited")
    _ask(mlflow, "POST", "model-versions/set-tag", name=name, version="1", **note)
    _ask(mlflow, "PATCH", "model-versions/update", name=name, version="1", description="edited")
    _ask(mlflow, "POST", "model-versions/transition-stage", name=name, version="1", stage="Archived")
    _ask(mlflow, "POST", "runs/delete", run_id=run)


@pytest.mark.parametrize("deleted", [False, True], ids=["edited", "deleted"])
def test_over_rest_it_brings_back_what_was_edited_and_deleted(
    live: Mlflow, handful: Handful, tmp_path: Path, deleted: bool
) -> None:
    name = f"edited {deleted}"
    note = {"key": "note", "value": "old"}
    experiment = _ask(live, "POST", "experiments/create", name=name, tags=[note])["experiment_id"]
    run = _run(live, experiment)
    _ask(live, "POST", "runs/set-tag", run_id=run, **note)
    _ask(live, "POST", "logged-models", experiment_id=experiment, name="m", source_run_id=run, tags=[note])
    _ask(live, "POST", "registered-models/create", name=name, description="old", tags=[note])
    version = {"name": name, "source": "s3://elsewhere/model", "description": "old", "tags": [note]}
    _ask(live, "POST", "model-versions/create", **version)
    backup, prefix = tmp_path / "b.zip", ["--rename-prefix", "copy-"]
    chosen = ["--experiment", name, "--model", name]
    assert handful("export", "--out", backup, *chosen, "--way", "portable", server=live.server) == 0
    assert handful("import", backup, *prefix, server=live.server) == 0
    before = _state(live, f"copy-{name}")
    assert before["experiment"] == ("active", "old")
    _edit(live, f"copy-{name}")
    if deleted:
        (made,) = {run["info"]["experiment_id"] for run in _copies(live, f"copy-{name}").values()}
        _ask(live, "POST", "experiments/delete", experiment_id=made)
    edited = _state(live, f"copy-{name}")
    assert handful("import", backup, *prefix, server=live.server) == 0
    assert _state(live, f"copy-{name}") == edited
    assert handful("import", backup, *prefix, "--overwrite", server=live.server) == 0
    assert _state(live, f"copy-{name}") == before


@pytest.mark.parametrize("way", ["exact", "portable"])
def test_an_increment_changes_what_is_there_only_if_asked_to(
    live: Mlflow, blank: Mlflow, handful: Handful, tmp_path: Path, capsys: pytest.CaptureFixture[str], way: str
) -> None:
    name = f"grows {way}"
    experiment = _ask(live, "POST", "experiments/create", name=name)["experiment_id"]
    run = _run(live, experiment)
    _ask(live, "POST", "runs/log-metric", run_id=run, key="loss", value=1.0, timestamp=1, step=0)
    _ask(live, "POST", "registered-models/create", name=name)
    for _ in range(2):
        _ask(live, "POST", "model-versions/create", name=name, source="s3://elsewhere/model")
    _ask(live, "POST", "registered-models/alias", name=name, alias="champion", version="1")
    base, more = tmp_path / "base.zip", tmp_path / "more.zip"
    chosen = ["--experiment", name, "--model", name, *(live.exact if way == "exact" else ["--way", "portable"])]
    assert handful("export", "--out", base, *chosen, server=live.server) == 0
    _ask(live, "POST", "runs/log-metric", run_id=run, key="loss", value=0.5, timestamp=2, step=1)
    _ask(live, "POST", "registered-models/alias", name=name, alias="champion", version="2")
    late = _run(live, experiment)
    assert handful("export", "--out", more, "--since", base, *chosen, server=live.server) == 0
    here = ["--database", blank.database, "--artifacts", blank.artifacts]
    into = here if way == "exact" else ["--rename-prefix", "copy-"]

    def look() -> tuple[int, list[float], bool]:
        """The champion, the points of the run, and whether the late one is there."""
        if way == "exact":
            rows = rows_of(blank.database)
            (champion,) = (row[2] for row in rows["registered_model_aliases"])
            return champion, [row[-1] for row in rows["metrics"]], len(rows["runs"]) == 2
        with Registry(live.server.uri) as registry:
            champion = registry.version(f"copy-{name}", "champion").version
        copies = _copies(live, f"copy-{name}")
        return champion, _points(live, copies[run]["info"]["run_id"]), late in copies

    assert handful("import", base, *into, server=live.server) == 0
    assert look() == (1, [1.0], False)
    assert handful("import", more, *into, server=live.server) == 0
    assert "brought up to this one with --overwrite only" in " ".join(capsys.readouterr().err.split())
    assert look() == (1, [1.0], True)
    assert handful("import", more, "--overwrite", *into, server=live.server) == 0
    assert look() == (2, [1.0, 0.5], True)
