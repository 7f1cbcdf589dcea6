"""Metric points on their way to a server, over REST."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from handful_backup.archive import BackupReader, BackupWriter, Manifest
from handful_backup.artifact_import import ArtifactImport
from handful_backup.artifacts import StoreResolver
from handful_backup.plan import ConflictPolicy
from handful_backup.portable.diff import ImportDiff
from handful_backup.portable.run_writer import RunWriter
from handful_backup.portable.server_state import ServerEntity, ServerState
from handful_backup.portable.staging import StagingDatabase
from handful_backup.progress import Progress
from handful_backup.settings import BackupSettings
from handful_core.registry.rest import Rest

_METRIC = ("key", "value", "timestamp", "step", "is_nan", "run_uuid")
_NAMES = ("model_id", "metric_name", "metric_timestamp_ms", "metric_step", "run_id", "dataset_name", "dataset_digest")


@pytest.mark.parametrize(
    ("models", "sent"),
    [([], [None]), (["kept"], ["here"]), (["gone"], [None]), (["kept", "gone"], ["here"])],
)
def test_a_point_comes_whatever_became_of_its_logged_models(
    tmp_path: Path, models: list[str], sent: list[str | None]
) -> None:
    path = tmp_path / "b.zip"
    with path.open("wb") as stream, BackupWriter(stream) as writer:
        writer.table("metrics", _METRIC, [("mAP", 0.5, 7, 1, False, "run")])
        writer.table("logged_model_metrics", _NAMES, [(model, "mAP", 7, 1, "run", None, None) for model in models])
        writer.finish(Manifest(way="exact", handful_version="0"))
    rest = Rest("http://mlflow", 5, 1, httpx.MockTransport(lambda _: httpx.Response(404)))
    state = ServerState(models={"kept": ServerEntity("here")})
    with BackupReader(path) as backup, Progress() as progress:
        staging = StagingDatabase(tmp_path / "rows.db")
        staging.fill(backup, None)
        artifact_import = ArtifactImport(backup, StoreResolver(BackupSettings(), rest), progress, 1)
        points = list(RunWriter(rest, ImportDiff(staging, state, ConflictPolicy()), artifact_import).points("run"))
        staging.close()
    assert [(point["value"], point.get("model_id")) for point in points] == [(0.5, model) for model in sent]
