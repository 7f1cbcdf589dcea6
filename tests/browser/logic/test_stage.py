from __future__ import annotations

import pytest

PICTURE = {"name": "hand.jpg"}


@pytest.mark.parametrize(
    ("picture", "run_state", "server", "view"),
    [
        (None, "idle", "connecting", "empty"),
        (None, "idle", "ready", "empty"),
        (None, "idle", "not-ready", "no-model"),
        (None, "idle", "unreachable", "unreachable"),
        (PICTURE, "busy", "ready", "busy"),
        (PICTURE, "done", "ready", "answer"),
        (PICTURE, "done", "unreachable", "answer"),
        (PICTURE, "failed", "not-ready", "failed"),
    ],
)
def test_the_stage_shows_one_face(run, picture, run_state, server, view) -> None:
    state = {"picture": picture, "request": {"state": run_state}, "server": {"state": server}}
    assert run("stage", "viewState", state) == view


def test_commands_in_a_message_stand_out(run) -> None:
    message = "no model: make one with `handful train`, or `handful promote fingers 3`"
    assert run("stage", "splitCommands", message) == [
        {"text": "no model: make one with "},
        {"command": "handful train"},
        {"text": "or "},
        {"command": "handful promote fingers 3"},
    ]


def test_a_lone_backtick_is_text(run) -> None:
    assert run("stage", "splitCommands", "5` wide") == [{"text": "5` wide"}]
