from __future__ import annotations

from typing import Any

import pytest


def version(number: int, *aliases: str, **more: Any) -> dict[str, Any]:
    return {"version": number, "aliases": list(aliases), "metrics": {}, "state": "available", **more}


FINGERS = {
    "name": "fingers",
    "aliases": {"champion": 2, "previous": 1},
    "versions": [version(3), version(2, "champion"), version(1, "previous")],
}
LEAVES = {"name": "leaves", "aliases": {}, "versions": [version(1)]}
LISTING = {"default": "fingers", "models": [FINGERS, LEAVES]}


@pytest.mark.parametrize(
    ("listing", "choice", "expected"),
    [
        (LISTING, None, ("fingers", 2)),
        (LISTING, {"model": "fingers", "version": None}, ("fingers", 2)),
        (LISTING, {"model": "fingers", "version": 1}, ("fingers", 1)),
        (LISTING, {"model": "leaves", "version": None}, ("leaves", None)),
        (LISTING, {"model": "gone", "version": 1}, (None, None)),
        ({"default": None, "models": []}, None, (None, None)),
        (None, None, (None, None)),
    ],
    ids=["default", "champion", "version", "no-champion", "gone", "empty", "not-yet-known"],
)
def test_a_choice_means_a_version(run, listing, choice, expected) -> None:
    found = run("registry", "resolveChoice", listing, choice)
    model, chosen = found["model"], found["version"]
    assert (model and model["name"], chosen and chosen["version"]) == expected


def test_who_picks_the_champion_follows_it(run) -> None:
    choice = run("registry", "choiceOf", FINGERS, FINGERS["versions"][1])
    assert run("registry", "queryParameters", choice) == {"model": "fingers"}


def test_who_picks_another_version_stays_with_it(run) -> None:
    choice = run("registry", "choiceOf", FINGERS, FINGERS["versions"][2])
    assert run("registry", "queryParameters", choice) == {"model": "fingers", "version": 1}


def test_without_a_choice_the_server_takes_its_default(run) -> None:
    assert run("registry", "queryParameters", None) == {}


def test_the_metrics_that_tell_most_come_first_and_only_numbers(run) -> None:
    metrics = {"recall": 0.8, "loss": 0.1, "mAP50_95": 0.5, "note": "x", "mAP50": 0.9}
    assert run("registry", "topMetrics", metrics, 3) == [["mAP50", 0.9], ["mAP50_95", 0.5], ["recall", 0.8]]
    assert run("registry", "topMetrics", None) == []


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [([], False), ([{"f1": 1}], False), ([{"f1": 1}, {}], False), ([{"f1": 1}, {"mAP50": 0.5}], True)],
)
def test_scores_stand_side_by_side_where_two_versions_have_any(run, metrics, expected) -> None:
    versions = [version(number, metrics=found) for number, found in enumerate(metrics)]
    assert run("registry", "showsSeveralScores", {"name": "fingers", "versions": versions}) is expected


def test_the_champion_is_the_first_alias(run) -> None:
    assert run("registry", "sortedAliases", version(1, "b", "champion", "a")) == ["champion", "a", "b"]


def test_a_registry_without_versions_is_empty(run) -> None:
    assert run("registry", "isEmpty", None)
    assert run("registry", "isEmpty", {"default": None, "models": [LEAVES | {"versions": []}]})
    assert not run("registry", "isEmpty", LISTING)
