"""Rows as lines of JSON."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime

import pytest

from handful_backup.archive.rows import decode_row, encode_canonically, encode_row, encode_rows


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        -(1 << 62),
        0.1 + 0.2,
        1.7976931348623157e308,
        math.inf,
        -math.inf,
        "ü\n\x00",
        b"\x00\xff",
        date(2026, 1, 2),
    ],
)
def test_a_value_comes_back_as_it_was(value: object) -> None:
    (back,) = decode_row(encode_row([value]))
    assert back == value
    assert type(back) is type(value)


def test_times_documents_and_no_numbers_come_back() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    back = decode_row(encode_row([moment, {"a": [1, None]}, math.nan]))
    assert back[:2] == [moment, {"a": [1, None]}]
    assert math.isnan(back[2])


def test_a_line_is_plain_json_for_others() -> None:
    line = encode_row([math.nan, b"\x00", "été"])
    assert json.loads(line) == [{"$float": "nan"}, {"$bytes": "AA=="}, "été"]
    assert line.isascii()
    assert line.count(b"\n") == 1


@pytest.mark.parametrize("line", [b"{}\n", b"nonsense\n", b"\n", b'{"a": 1}\n'])
def test_what_is_no_row_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        decode_row(line)


@pytest.mark.parametrize(
    "odd", [["],[", 1], ["a]\n[b", '"],["'], [math.inf, "x"], [b"],[", None], [[[1], [2]], 3], [{"a": [1]}, [4]]]
)
def test_rows_together_are_the_rows_one_by_one(odd: list[object]) -> None:
    rows = [[1, "été"], odd, [2.5, None], [True, "]"]]
    assert encode_rows(rows) == b"".join(map(encode_row, rows))
    assert [decode_row(line) for line in encode_rows(rows).splitlines()] == rows
    assert encode_rows([odd]) == encode_row(odd)
    assert encode_rows([]) == b""


@pytest.mark.parametrize("odd", [1 << 70, -(1 << 63), (1 << 64) - 1, "half \ud83d", {"1": math.pi}, {1: "one"}])
def test_what_the_fast_encoder_refuses_or_changes_comes_back_too(odd: object) -> None:
    assert decode_row(encode_row([odd, None])) == [json.loads(json.dumps(odd)), None]


def test_a_document_with_no_number_is_refused_and_never_written_as_null() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        encode_row([{"loss": math.nan}])


def test_lines_of_older_backups_are_read() -> None:
    line = b'["\\u00e9t\\u00e9 \\ud83d\\ude42",1e+16,null,{"$float":"-inf"},{"$bytes":"AP8="},{"$date":"2026-01-02"}]\n'
    assert decode_row(line) == ["été 🙂", 1e16, None, -math.inf, b"\x00\xff", date(2026, 1, 2)]
    assert encode_canonically(decode_row(line)) == line


def test_the_lines_that_digests_are_made_of_never_change() -> None:
    row = ["latest_metrics", "übung", 1e16, 1e-7, 0.1, 1700000000000, True, None, math.nan]
    expected = b'["latest_metrics","\\u00fcbung",1e+16,1e-07,0.1,1700000000000,true,null,{"$float":"nan"}]\n'
    assert encode_canonically(row) == expected


def test_a_number_that_is_not_finite_is_never_lost_inside_of_something() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        encode_row([(1.0, math.nan)])
