from __future__ import annotations

import pytest

from handful_core.registry import RegisteredModel
from handful_serving.domain.catalog import Catalog
from handful_serving.domain.model_ref import ModelRef, ModelVersion
from handful_serving.errors import NoModelError, UnknownModelError


def catalog(**aliases: dict[str, int]) -> Catalog:
    made = Catalog("fingers")
    made.update(RegisteredModel(name, found) for name, found in aliases.items())
    return made


def test_nothing_asked_for_means_the_default_models_champion() -> None:
    both = catalog(apples={"champion": 1}, fingers={"champion": 3})
    assert both.resolve(ModelRef()) == ModelVersion("fingers", 3)


def test_without_the_default_model_the_first_by_name_answers() -> None:
    others = catalog(zebras={"champion": 1}, apples={"champion": 2}, fingers={"challenger": 4})
    assert others.default == "apples"
    assert others.resolve(ModelRef()) == ModelVersion("apples", 2)


@pytest.mark.parametrize(
    ("wanted", "key"),
    [
        (ModelRef("leaves"), ModelVersion("leaves", 5)),
        (ModelRef("leaves", version=2), ModelVersion("leaves", 2)),
        (ModelRef("leaves", alias="challenger"), ModelVersion("leaves", 7)),
        (ModelRef(version=1), ModelVersion("fingers", 1)),
        (ModelRef(alias="previous"), ModelVersion("fingers", 2)),
    ],
)
def test_a_request_chooses(wanted: ModelRef, key: ModelVersion) -> None:
    both = catalog(leaves={"champion": 5, "challenger": 7}, fingers={"champion": 3, "previous": 2})
    assert both.resolve(wanted) == key


def test_the_champion_is_the_version_that_could_be_loaded() -> None:
    moved = catalog(fingers={"champion": 4, "best": 4})
    moved.champions["fingers"] = 3
    assert moved.resolve(ModelRef()) == ModelVersion("fingers", 3)
    assert moved.resolve(ModelRef(alias="champion")) == ModelVersion("fingers", 3)
    assert moved.resolve(ModelRef(alias="best")) == ModelVersion("fingers", 4), "by another name it is asked for itself"
    assert moved.aliases("fingers") == {"champion": 4, "best": 4}, "what the registry says is told as it is"


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (ModelRef("nobody"), "there is no model nobody: there is fingers, hollow"),
        (ModelRef("nobody", version=1), "there is no model nobody: there is fingers, hollow"),
        (ModelRef(alias="best"), "model fingers has no alias best: it has challenger, champion"),
        (ModelRef("hollow"), "model hollow has no alias champion: give it one with: handful promote hollow VERSION"),
    ],
)
def test_what_is_not_there_is_said_with_what_is(wanted: ModelRef, words: str) -> None:
    both = catalog(fingers={"champion": 3, "challenger": 4}, hollow={})
    with pytest.raises(UnknownModelError) as caught:
        both.resolve(wanted)
    assert str(caught.value) == words


def test_without_any_champion_nothing_can_answer() -> None:
    with pytest.raises(NoModelError):
        catalog(hollow={}).resolve(ModelRef())


def test_a_model_may_be_unknown_only_because_the_registry_is_away() -> None:
    offline = Catalog("fingers")
    with pytest.raises(NoModelError, match="only just started"):
        offline.resolve(ModelRef("leaves"))
    offline.reachable, offline.registry_error = False, "MLflow is down"
    offline.champions["fingers"] = 2
    assert offline.resolve(ModelRef()) == ModelVersion("fingers", 2)
    assert offline.resolve(ModelRef("fingers", version=1)) == ModelVersion("fingers", 1)
    with pytest.raises(NoModelError, match=r"leaves is not in the cache.*MLflow is down"):
        offline.resolve(ModelRef("leaves"))


def test_only_the_models_of_the_settings_are_served() -> None:
    chosen = Catalog("fingers", ["leaves"])
    chosen.update([RegisteredModel("fingers", {"champion": 1}), RegisteredModel("leaves", {"champion": 2})])
    assert chosen.names() == ["leaves"]
    assert chosen.resolve(ModelRef()) == ModelVersion("leaves", 2)


def test_the_default_models_champion_is_worth_most() -> None:
    both = catalog(leaves={"champion": 5}, fingers={"champion": 3})
    both.champions.update(leaves=5, fingers=3)
    assert [
        both.rank(key) for key in (ModelVersion("fingers", 3), ModelVersion("leaves", 5), ModelVersion("fingers", 2))
    ] == [2, 1, 0]
