from __future__ import annotations

from typing import cast

import pytest

from handful_core.registry import Version
from handful_serving.domain.model_ref import ModelVersion
from handful_serving.domain.model_store import LoadedModel, Model, ModelStore
from support.serving_models import leased


def loaded(version: int, name: str = "m") -> LoadedModel:
    return LoadedModel(Version(name, version), cast("Model", object()), "digest")


def versions(store: ModelStore) -> list[int]:
    return sorted(entry.model_version.version for entry in store)


@pytest.fixture
def ranks() -> dict[int, int]:
    return {}


@pytest.fixture
def store(ranks: dict[int, int]) -> ModelStore:
    return ModelStore(2, lambda key: ranks.get(key.version, 0))


def test_the_least_recently_used_goes(store: ModelStore) -> None:
    first, second = loaded(1), loaded(2)
    store.add(first)
    store.add(second)
    assert not store.has_room
    with leased(store, first):
        pass
    store.add(loaded(3))
    assert versions(store) == [1, 3]


def test_a_champion_goes_after_all_others_and_the_default_one_never(store: ModelStore, ranks: dict[int, int]) -> None:
    ranks.update({1: 2, 2: 1})
    for version in (1, 2, 3):
        store.add(loaded(version))
    assert versions(store) == [1, 2, 3], "the others are worth more"
    store.add(loaded(4))
    assert versions(store) == [1, 2, 4]
    store.trim()
    assert versions(store) == [1, 2]
    ranks[5] = 1
    store.add(loaded(5))
    assert versions(store) == [1, 5], "a champion may take the place of one that was used less recently"
    ranks.clear()
    ranks[5] = 2
    store.add(loaded(6))
    assert versions(store) == [5, 6]


def test_what_is_in_use_stays_until_its_last_lease_is_given_back(store: ModelStore) -> None:
    first, second = loaded(1), loaded(2)
    store.add(first)
    store.add(second)
    with leased(store, first), leased(store, first), leased(store, second):
        store.add(loaded(3))
        assert versions(store) == [1, 2, 3]
        assert first.leases == 2
    assert versions(store) == [2, 3] or versions(store) == [1, 3]
    assert (first.leases, second.leases) == (0, 0)


def test_a_lease_ends_when_its_user_fails(store: ModelStore) -> None:
    first = loaded(1)
    store.add(first)
    with pytest.raises(RuntimeError), leased(store, first):
        raise RuntimeError
    assert first.leases == 0


def test_a_leased_model_outlives_its_place(store: ModelStore) -> None:
    first = loaded(1)
    store.add(first)
    with leased(store, first):
        store.drop("m")
        assert store.get(ModelVersion("m", 1)) is None
        assert first.leases == 1
    assert versions(store) == []


def test_the_same_key_is_replaced(store: ModelStore) -> None:
    store.add(loaded(1))
    again = loaded(1)
    store.add(again)
    assert store.get(ModelVersion("m", 1)) is again
    assert len(store) == 1


def test_only_the_models_of_the_name_are_dropped(store: ModelStore) -> None:
    store.add(loaded(1, "a"))
    store.add(loaded(1, "b"))
    store.drop("a")
    assert [entry.model_version for entry in store] == [ModelVersion("b", 1)]


def test_a_budget_of_memory_is_kept(ranks: dict[int, int]) -> None:
    store = ModelStore(10, lambda key: ranks.get(key.version, 0), budget=100)
    for version in (1, 2):
        store.add(LoadedModel(Version("m", version), cast("Model", object()), "digest", memory=45))
    assert store.memory == 90
    assert store.has_room
    with leased(store, next(iter(store))):
        pass
    store.add(LoadedModel(Version("m", 3), cast("Model", object()), "digest", memory=30))
    assert versions(store) == [1, 3], "the one that was used least recently went"
    ranks[4] = 2
    store.add(LoadedModel(Version("m", 4), cast("Model", object()), "digest", memory=500))
    assert versions(store) == [4], "the default champion stays, however large it is"
    assert not store.has_room


def test_what_is_worth_less_than_all_others_is_not_worth_loading(store: ModelStore, ranks: dict[int, int]) -> None:
    assert store.can_hold(loaded(9).model_version)
    ranks.update({1: 2, 2: 1})
    store.add(loaded(1))
    assert store.can_hold(loaded(9).model_version)
    store.add(loaded(3))
    assert store.can_hold(loaded(9).model_version), "another of no worth goes"
    store.add(loaded(2))
    assert not store.can_hold(loaded(9).model_version)
