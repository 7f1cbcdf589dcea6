from __future__ import annotations

import pytest

from handful_core.registry import RegisteredModel
from handful_serving.domain.catalog import Catalog
from handful_serving.domain.errors import NoModelError, UnknownModelError
from handful_serving.domain.keys import Key, Wanted


def catalog(**aliases: dict[str, int]) -> Catalog:
    made = Catalog("fingers")
    made.update(RegisteredModel(name, found) for name, found in aliases.items())
    return made


def test_nothing_asked_for_means_the_default_models_champion() -> None:
    both = catalog(apples={"champion": 1}, fingers={"champion": 3})
    assert both.resolve(Wanted()) == Key("fingers", 3)


def test_without_the_default_model_the_first_by_name_answers() -> None:
    others = catalog(zebras={"champion": 1}, apples={"champion": 2}, fingers={"challenger": 4})
    assert others.default == "apples"
    assert others.resolve(Wanted()) == Key("apples", 2)


@pytest.mark.parametrize(
    ("wanted", "key"),
    [
        (Wanted("leaves"), Key("leaves", 5)),
        (Wanted("leaves", version=2), Key("leaves", 2)),
        (Wanted("leaves", alias="challenger"), Key("leaves", 7)),
        (Wanted(version=1), Key("fingers", 1)),
        (Wanted(alias="previous"), Key("fingers", 2)),
    ],
)
def test_a_request_chooses(wanted: Wanted, key: Key) -> None:
    both = catalog(leaves={"champion": 5, "challenger": 7}, fingers={"champion": 3, "previous": 2})
    assert both.resolve(wanted) == key


def test_the_champion_is_the_version_that_could_be_loaded() -> None:
    moved = catalog(fingers={"champion": 4, "best": 4})
    moved.champions["fingers"] = 3
    assert moved.resolve(Wanted()) == Key("fingers", 3)
    assert moved.resolve(Wanted(alias="champion")) == Key("fingers", 3)
    assert moved.resolve(Wanted(alias="best")) == Key("fingers", 4), "by another name it is asked for itself"
    assert moved.aliases("fingers") == {"champion": 4, "best": 4}, "what the registry says is told as it is"


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (Wanted("nobody"), "there is no model nobody: there is fingers, hollow"),
        (Wanted("nobody", version=1), "there is no model nobody: there is fingers, hollow"),
        (Wanted(alias="best"), "model fingers has no alias best: it has challenger, champion"),
        (Wanted("hollow"), "model hollow has no alias champion: give it one with: handful promote hollow VERSION"),
    ],
)
def test_what_is_not_there_is_said_with_what_is(wanted: Wanted, words: str) -> None:
    both = catalog(fingers={"champion": 3, "challenger": 4}, hollow={})
    with pytest.raises(UnknownModelError) as caught:
        both.resolve(wanted)
    assert str(caught.value) == words


def test_without_any_champion_nothing_can_answer() -> None:
    with pytest.raises(NoModelError):
        catalog(hollow={}).resolve(Wanted())


def test_a_model_may_be_unknown_only_because_the_registry_is_away() -> None:
    offline = Catalog("fingers")
    with pytest.raises(NoModelError, match="only just started"):
        offline.resolve(Wanted("leaves"))
    offline.reachable, offline.trouble = False, "MLflow is down"
    offline.champions["fingers"] = 2
    assert offline.resolve(Wanted()) == Key("fingers", 2)
    assert offline.resolve(Wanted("fingers", version=1)) == Key("fingers", 1)
    with pytest.raises(NoModelError, match=r"leaves is not in the cache.*MLflow is down"):
        offline.resolve(Wanted("leaves"))


def test_only_the_models_of_the_settings_are_served() -> None:
    chosen = Catalog("fingers", ["leaves"])
    chosen.update([RegisteredModel("fingers", {"champion": 1}), RegisteredModel("leaves", {"champion": 2})])
    assert chosen.names() == ["leaves"]
    assert chosen.resolve(Wanted()) == Key("leaves", 2)


def test_the_default_models_champion_is_worth_most() -> None:
    both = catalog(leaves={"champion": 5}, fingers={"champion": 3})
    both.champions.update(leaves=5, fingers=3)
    assert [both.rank(key) for key in (Key("fingers", 3), Key("leaves", 5), Key("fingers", 2))] == [2, 1, 0]
