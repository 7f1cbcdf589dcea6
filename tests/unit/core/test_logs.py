from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from handful_core import logs
from handful_core.console import print_json, progress


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, httpx_level = list(root.handlers), root.level, logging.getLogger("httpx").level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger("httpx").setLevel(httpx_level)


def test_a_record_is_one_json_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", as_json=True)
    logging.getLogger("some").info("loaded %s\nand more", "it", extra={"model": "fingers", "odd": {1}})
    logging.getLogger("some").debug("not shown")
    (line,) = capsys.readouterr().err.splitlines()
    entry = json.loads(line)
    assert entry.pop("time").endswith("+00:00")
    assert entry == {
        "level": "info", "logger": "some", "message": "loaded it\nand more", "model": "fingers", "odd": "{1}",
    }  # fmt: skip


def test_a_trace_is_part_of_the_object(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(as_json=True)
    try:
        int("no number")
    except ValueError:
        logging.getLogger("some").exception("failed")
    (line,) = capsys.readouterr().err.splitlines()
    assert "ValueError: invalid literal" in json.loads(line)["trace"]


def test_for_people_it_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("WARNING", as_json=False)
    logging.getLogger("some").warning("watch out")
    assert capsys.readouterr().err.endswith(" WARNING some  watch out\n")


def test_where_no_terminal_is_json_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure()
    logging.getLogger("some").warning("watch out")
    assert json.loads(capsys.readouterr().err)["message"] == "watch out"


def test_results_go_to_standard_output_alone(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": [1]})
    with progress() as bar:
        bar.advance(bar.add_task("working", total=1))
    out, err = capsys.readouterr()
    assert json.loads(out) == {"a": [1]}
    assert err == ""
