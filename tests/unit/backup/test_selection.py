"""What of a server is wanted."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from handful_backup.selection import SelectedItems, Selection, select
from handful_core.errors import ConfigError, NotFoundError

_DAY = 86_400_000


class _Rows:
    """Two experiments; one model made from a run of the first."""

    def __init__(self) -> None:
        now = int(time.time() * 1000)
        self.tables: dict[str, list[dict[str, Any]]] = {
            "experiments": [{"experiment_id": 1, "name": "fingers"}, {"experiment_id": 2, "name": "leaves"}],
            "runs": [
                {"run_uuid": "new", "experiment_id": 1, "start_time": now - _DAY},
                {"run_uuid": "old", "experiment_id": 1, "start_time": now - 40 * _DAY},
                {"run_uuid": "leaf", "experiment_id": 2, "start_time": now - _DAY},
            ],
            "logged_models": [
                {"model_id": "m-1", "experiment_id": 1, "source_run_id": "old", "creation_timestamp_ms": now},
                {"model_id": "m-2", "experiment_id": 2, "source_run_id": None, "creation_timestamp_ms": now},
            ],
            "trace_info": [{"request_id": "tr-1", "experiment_id": 1, "timestamp_ms": now}],
            "registered_models": [{"workspace": "default", "name": "fingers"}],
            "model_versions": [_version(1, "models:/m-9", None), _version(2, "models:/m-1", "old")],
            "registered_model_aliases": [
                {"workspace": "default", "name": "fingers", "alias": "champion", "version": 2},
                {"workspace": "default", "name": "fingers", "alias": "previous", "version": 1},
            ],
        }

    def rows(self, table: str) -> Iterator[dict[str, Any]]:
        return iter(self.tables[table])


def _version(number: int, source: str, run: str | None) -> dict[str, Any]:
    return {
        "workspace": "default",
        "name": "fingers",
        "version": number,
        "source": source,
        "run_id": run,
        "current_stage": "None",
    }


def _choose(**words: Any) -> SelectedItems:
    chosen = select(Selection(**words), _Rows())
    assert chosen is not None
    return chosen


def test_nothing_said_means_all() -> None:
    assert select(Selection(), _Rows()) is None


def test_an_experiment_brings_what_is_in_it() -> None:
    chosen = _choose(experiments=("fingers",))
    assert chosen.of("runs") == {"new", "old"}
    assert chosen.of("models") == {"m-1"}
    assert chosen.of("traces") == {"tr-1"}
    assert chosen.of("experiments") == {1}
    assert chosen.of("versions") == set()


def test_age_counts_from_the_start_of_a_run() -> None:
    assert _choose(newer="30d").of("runs") == {"new", "leaf"}
    assert _choose(older="30d").of("runs") == {"old"}
    assert _choose(experiments=("fingers",), newer="2w").of("runs") == {"new"}


@pytest.mark.parametrize("reference", ["fingers@champion", "fingers/2"])
def test_a_version_brings_what_it_was_made_from(reference: str) -> None:
    chosen = _choose(models=(reference,))
    assert chosen.of("versions") == {("default", "fingers", 2)}
    assert chosen.of("models") == {"m-1"}
    assert chosen.of("runs") == {"old"}
    assert chosen.of("experiments") == {1}
    aliases = [
        row["alias"]
        for row in _Rows().rows("registered_model_aliases")
        if chosen.includes("registered_model_aliases", row)
    ]
    assert aliases == ["champion"]


def test_a_model_brings_all_its_versions() -> None:
    assert len(_choose(models=("fingers",)).of("versions")) == 2


def test_inputs_go_with_their_run_and_tags_with_their_input() -> None:
    chosen = _choose(newer="30d")
    data = {"input_uuid": "i1", "source_type": "DATASET", "source_id": "d", "destination_id": "new"}
    model = {"input_uuid": "i2", "source_type": "RUN_INPUT", "source_id": "old", "destination_id": "m-1"}
    assert chosen.includes("inputs", data)
    assert not chosen.includes("inputs", model)
    assert chosen.includes("input_tags", {"input_uuid": "i1"})
    assert not chosen.includes("input_tags", {"input_uuid": "i2"})


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"experiments": ("thumbs",)}, "no experiment thumbs"),
        ({"models": ("thumbs",)}, "no model thumbs"),
        ({"models": ("fingers@best",)}, "no model fingers@best"),
        ({"models": ("fingers/7",)}, "no model fingers/7"),
    ],
)
def test_what_is_not_there_is_named(words: dict[str, Any], said: str) -> None:
    with pytest.raises(NotFoundError, match=said):
        _choose(**words)


def test_an_age_needs_its_unit() -> None:
    with pytest.raises(ConfigError, match="'30' is not an age: write a number and h, d or w"):
        _choose(newer="30")
