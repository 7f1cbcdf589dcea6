"""The choice of starter models."""

from __future__ import annotations

import pytest

from handful_core.errors import ConfigError
from handful_core.registry.starters import chosen_starters, wanted_starters


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ("", ("fingers",)),
        (" ", ("fingers",)),
        ("on", ("fingers",)),
        ("fingers", ("fingers",)),
        ("LEAVES", ("leaves",)),
        ("fingers,leaves", ("fingers", "leaves")),
        (" leaves , fingers,", ("leaves", "fingers")),
        ("on,leaves", ("fingers", "leaves")),
        ("leaves,leaves", ("leaves",)),
        ("off", ()),
        ("None", ()),
    ],
)
def test_names_are_read_as_people_write_them(choice: str, names: tuple[str, ...]) -> None:
    assert chosen_starters(choice) == names


@pytest.mark.parametrize(
    "choice", ["finger", "fingers leaves", "fingers;leaves", "none,fingers", "true", ",", "models/leaves.zip"]
)
def test_another_name_is_refused_with_those_there_are(choice: str) -> None:
    with pytest.raises(ConfigError) as caught:
        chosen_starters(choice)
    said = f"STARTER_MODEL is {choice!r}: it is fingers, leaves, several of them with a comma between, or none"
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("in_use", "wanted"),
    [
        (set(), ["fingers", "leaves"]),
        ({"fingers"}, ["leaves"]),
        ({"fingers", "leaves"}, []),
        ({"plants"}, []),
        ({"fingers", "plants"}, []),
    ],
)
def test_models_of_somebody_keep_the_starters_out(in_use: set[str], wanted: list[str]) -> None:
    assert wanted_starters(("fingers", "leaves"), in_use) == wanted
