"""What MLflow has to do for prediction logs, be it MLflow or the fake: both run this suite."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from handful_core.registry.monitoring import DAY, KIND, PREDICTION_LOG, REPLICA, MonitoringExperiments

TAGS = {KIND: PREDICTION_LOG, REPLICA: "one", DAY: "2026-11-29"}


class MonitoringSuite:
    """Subclasses give the fixture `experiments`. Each test uses a model name of its own."""

    def test_a_model_without_an_experiment_has_no_runs(self, experiments: MonitoringExperiments) -> None:
        assert list(experiments.runs("nobody's", TAGS)) == []
        assert "nobody's" not in experiments.models()

    def test_a_run_is_found_by_its_tags_and_keeps_files(
        self, experiments: MonitoringExperiments, tmp_path: Path
    ) -> None:
        made = experiments.create("found", "a name", TAGS)
        other = experiments.create("found", "another", TAGS | {DAY: "2026-11-30"})
        made.end()
        assert "found" in experiments.models()
        (run,) = experiments.runs("found", TAGS)
        assert (run.id, run.tags[REPLICA], run.tags[DAY]) == (made.id, "one", "2026-11-29")
        assert [each.id for each in experiments.runs("found", {KIND: PREDICTION_LOG})] == [made.id, other.id]
        assert run.files("log") == []
        run.upload("log/b.jsonl.gz", b"first")
        run.upload("log/b.jsonl.gz", b"second")
        run.upload("log/a.jsonl.gz", b"")
        assert run.files("log") == ["a.jsonl.gz", "b.jsonl.gz"]
        run.download("log/b.jsonl.gz", tmp_path / "b")
        assert (tmp_path / "b").read_bytes() == b"second"

    def test_tags_are_set_and_a_file_is_removed(self, experiments: MonitoringExperiments) -> None:
        run = experiments.create("changed", "a name", TAGS)
        run.log({"rows": 250.0}, {"handful.verdict": "steady"})
        run.log({}, {"handful.verdict": "changed"})
        (found,) = experiments.runs("changed", TAGS)
        assert (found.tags["handful.verdict"], found.tags[REPLICA]) == ("changed", "one")
        run.upload("log/a.jsonl.gz", b"rows")
        run.upload("log/b.jsonl.gz", b"rows")
        run.remove("log/a.jsonl.gz")
        run.remove("log/a.jsonl.gz")
        assert run.files("log") == ["b.jsonl.gz"]

    def test_a_deleted_run_is_gone_with_its_files(self, experiments: MonitoringExperiments) -> None:
        run = experiments.create("deleted", "a name", TAGS)
        run.upload("log/a.jsonl.gz", b"rows")
        run.delete()
        assert list(experiments.runs("deleted", TAGS)) == []
        assert run.files("log") == []
        run.delete()  # Another replica had the same thought.

    def test_the_server_tells_its_time(self, experiments: MonitoringExperiments) -> None:
        told = experiments.server_time()
        assert told is not None
        assert abs(told - datetime.now(UTC)) < timedelta(minutes=1)

    @pytest.mark.parametrize("model", ["with space", "größe", "50%"])
    def test_names_of_all_kinds(self, experiments: MonitoringExperiments, model: str) -> None:
        run = experiments.create(model, "a name", TAGS)
        assert [each.id for each in experiments.runs(model, TAGS)] == [run.id]
