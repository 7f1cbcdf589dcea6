"""YAML 1.2's core schema: words stay as they were written, and hostile files are refused in one line."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from handful_trainer.yaml_core import YamlError, load_core, load_words

_PRINTABLE = st.characters(codec="utf-8", exclude_categories=["C", "Z"]) | st.just(" ")
_TRICKY = [
    *(
        "yes",
        "no",
        "on",
        "off",
        "y",
        "n",
        "Yes",
        "NO",
        "010",
        "08",
        "0x1F",
        "0o17",
        "1_000",
        "12:30",
        "1:2:3",
        "190:20:30",
    ),
    *(
        "2024-01-05",
        "2024-01-05 10:00:00",
        "1e3",
        "1E3",
        "1.50",
        "+1",
        "+.5",
        ".5",
        "5.",
        ".inf",
        ".nan",
        "-0",
        "=",
        "<<",
    ),
    *("0", "5", "-5", "1.5", "0.00001", "100000000000000000000", "1e400", "nan", "inf", "0b101", "685_230.15"),
]
_RESOLVED = ["null", "Null", "NULL", "~", "true", "True", "TRUE", "false", "False", "FALSE"]
_NAMES = st.text(_PRINTABLE, min_size=1).map(str.strip).filter(bool) | st.sampled_from([*_TRICKY, *_RESOLVED])


def quoted(name: str, style: str) -> str:
    return json.dumps(name, ensure_ascii=False) if style == '"' else "'" + name.replace("'", "''") + "'"


def can_be_plain(name: str) -> bool:
    """Does YAML's syntax allow it without quotes in a block list? By the specification's rules, not by a parser."""
    begins = name[0] not in "-?:,[]{}#&*!|>'\"%@`" and not name.startswith(("---", "..."))
    return begins and ": " not in name and " #" not in name and not name.endswith(":")


@given(st.lists(st.tuples(_NAMES, st.sampled_from(["plain", '"', "'"])), min_size=1))
def test_every_name_is_read_as_it_is_written(names: list[tuple[str, str]]) -> None:
    lines = [name if style == "plain" and can_be_plain(name) else quoted(name, '"') for name, style in names]
    assert load_words("\n".join(f"- {line}" for line in lines)) == [name for name, _ in names]
    flow = ", ".join(quoted(name, '"' if style == '"' else "'") for name, style in names)
    assert load_words(f"{{names: [{flow}]}}") == {"names": [name for name, _ in names]}


@given(st.lists(st.tuples(_NAMES, st.sampled_from(["plain", '"', "'"])), min_size=1))
def test_the_core_schema_keeps_all_words_but_null_and_truth_values(names: list[tuple[str, str]]) -> None:
    lines, expected = [], []
    for name, style in names:
        plain = style == "plain" and can_be_plain(name) and name not in _RESOLVED
        lines.append(f"- {name if plain else quoted(name, chr(34))}")
        expected.append(name)
    # A number is taken for one only if it is written again just so.
    assert [str(value) for value in load_core("\n".join(lines))] == expected


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _NAMES,
        lambda inner: st.lists(inner) | st.dictionaries(_NAMES, inner),
        max_leaves=20,
    )
)
def test_what_pyyaml_writes_is_read(value: Any) -> None:
    def words(part: Any) -> Any:
        """Large and very small numbers are words: they are written in more than one way."""
        if isinstance(part, dict):
            return {key: words(item) for key, item in part.items()}
        if isinstance(part, list):
            return [words(item) for item in part]
        return float(part) if isinstance(part, int | float) and not isinstance(part, bool) else part

    def read(part: Any, like: Any) -> Any:
        if isinstance(like, dict):
            return {key: read(part[key], like[key]) for key in part}
        if isinstance(like, list):
            return [read(*pair) for pair in zip(part, like, strict=True)]
        return float(part) if isinstance(like, float) else part

    again = load_core(yaml.safe_dump(value, allow_unicode=True))
    assert read(again, words(value)) == words(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[yes, no, on, off, y, n]", ["yes", "no", "on", "off", "y", "n"]),
        ("[010, 08, 0x10, 0o7, 1_000, 12:30]", ["010", "08", "0x10", "0o7", "1_000", "12:30"]),
        ("2024-01-05", "2024-01-05"),
        ("[1e3, 1e-3, 1.50, .5, 5., +1, -0]", ["1e3", "1e-3", "1.50", ".5", "5.", "+1", "-0"]),
        ("[.inf, .nan, =, 100000000000000000000]", [".inf", ".nan", "=", "100000000000000000000"]),
        ("[0, -5, 1.5, 0.0005]", [0, -5, 1.5, 0.0005]),
        ("[null, ~, Null, ]", [None, None, None]),
        ("[true, True, FALSE]", [True, True, False]),
        ("[!!str 5, '5', \"no\"]", ["5", "5", "no"]),
        ("", None),
        ("a:", {"a": None}),
        ("\ufeffa: 1", {"a": 1}),
        ("{0: a, 010: b}", {0: "a", "010": "b"}),
        ("[&x {b: 1, c: 2}, {<<: *x, b: 3}, *x]", [{"b": 1, "c": 2}, {"b": 3, "c": 2}, {"b": 1, "c": 2}]),
        ("[&x {b: 1}, &y {b: 2, d: 4}, {<<: [*x, *y]}]", [{"b": 1}, {"b": 2, "d": 4}, {"b": 1, "d": 4}]),
    ],
)  # fmt: skip
def test_core(text: str, value: object) -> None:
    assert load_core(text) == value
    assert repr(load_core(text)) == repr(value)


def test_words_are_words_everywhere() -> None:
    assert load_words("names: {0: yes, 1: null, 010: 5}\nval:") == {
        "names": {"0": "yes", "1": "null", "010": "5"},
        "val": "",
    }


_LIST_BOMB = "a0: &a0 [x, x, x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12))
_MERGE_BOMB = "a0: &a0 {x: 1}\n" + "".join(
    f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 10)}]}}\n" for i in range(1, 12)
)


@pytest.mark.parametrize("load", [load_core, load_words])
@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\nb: 2\na: 3", "line 3, column 1: the key a is there twice, first in line 1"),
        ("names: {0: a, 1: b, 0: c}", "line 1, column 21: the key 0 is there twice, first in line 1"),
        ("a: &x {b: 1}\nc: {<<: *x, d: 1, d: 2}", "line 2, column 19: the key d is there twice, first in line 2"),
        ("a: [", "line 1, column 5: expected the node content, but found '<stream end>'"),
        ("a:\n\tb: 1", "line 2, column 1: found character '\\t' that cannot start any token"),
        ("? [a]\n: b", "line 1, column 3: a key must be a word or a number"),
        ("a: 1\n---\nb: 2", "line 2, column 1: but found another document"),
        ("a: !!python/object/apply:os.system [ls]", "python/object/apply:os.system is unknown"),
        ("a: !include other.yaml", "line 1, column 4: the tag !include is unknown"),
        ("a: *b", "line 1, column 4: found undefined alias 'b'"),
        ("<<: 5", "line 1, column 5: << needs a mapping, such as *name"),
        ("a: \x00", "character 4: special characters are not allowed"),
        ("[" * 100_000, "line 1, column 101: it is nested more than 100 deep"),
        ("- " * 100_000, "line 1, column 201: it is nested more than 100 deep"),
        ("&a [*a]", "an alias (*name) holds itself"),
        ("&a {<<: *a}", "an alias (*name) holds itself"),
        (_LIST_BOMB, "its aliases (*name) repeat more than 100000 values"),
        (_MERGE_BOMB, "its aliases (*name) repeat more than 100000 values"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else None,
)  # fmt: skip
def test_what_is_no_data_is_refused_in_one_line(load: Any, text: str, line: str) -> None:
    with pytest.raises(YamlError) as caught:
        load(text)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.text(st.sampled_from("&*a[]{}:,-?!|>'\"#%@`~<= \n\t0.")))
def test_no_text_brings_up_anything_else(text: str) -> None:
    for load in (load_core, load_words):
        with contextlib.suppress(YamlError):
            load(text)
