from __future__ import annotations

from typing import Any

import pytest

EMPTY = {"default": None, "models": []}
FULL = {"default": "fingers", "models": [{"name": "fingers", "versions": [{"version": 1}]}]}


@pytest.fixture
def notice(blank):
    """The notice for a failed answer or a server that is not ready, made with the page's own error classes."""

    def make(view: str, server: str, listing: Any, given: dict[str, Any] | None) -> Any:
        return blank.evaluate(
            """async ([view, server, listing, given]) => {
                const { Problem, UnreachableError } = await import('/js/errors.js');
                const { noticeOf } = await import('/js/logic/stage.js');
                const error = given ? new Problem(given) : new UnreachableError();
                return noticeOf({ request: { error }, listing, server: { state: server, error } }, view);
            }""",
            [view, server, listing, given],
        )

    return make


@pytest.mark.parametrize(
    ("status", "title"),
    [
        (413, "This picture is too large"),
        (415, "This file cannot be read as a picture"),
        (422, "This picture is damaged"),
        (429, "Too many requests at once"),
        (404, "The server said no"),
        (500, "The server failed"),
    ],
)
def test_the_servers_words_are_shown_under_a_title_of_ours(notice, status, title) -> None:
    said = notice("failed", "ready", FULL, {"status": status, "detail": "its words", "requestId": "ab12"})
    assert (said["title"], said["detail"], said["request"]) == (title, "its words", "Request ab12")


def test_a_server_without_words_is_quoted_by_its_status(notice) -> None:
    assert notice("failed", "ready", FULL, {"status": 500})["detail"] == "It gave no reason but the status 500."


@pytest.mark.parametrize(("status", "again"), [(429, True), (500, True), (413, False), (415, False), (422, False)])
def test_only_what_may_pass_is_tried_again(notice, status, again) -> None:
    assert notice("failed", "ready", FULL, {"status": status, "detail": "x"})["retry"] is again


def test_no_model_yet_shows_the_servers_command(notice) -> None:
    said = notice("no-model", "not-ready", EMPTY, {"status": 503, "detail": "make one with `handful train`"})
    assert (said["title"], said["detail"]) == ("No model yet", "make one with `handful train`")


def test_not_ready_with_models_is_not_called_no_model(notice) -> None:
    assert notice("no-model", "not-ready", FULL, {"status": 503, "detail": "x"})["title"] == "The server is not ready"


def test_a_server_that_went_away_after_it_said_no_is_called_away(blank) -> None:
    """The picture was refused for want of a model, then a poll found nobody: that error has no status to quote."""
    titles = blank.evaluate(
        """async () => {
            const { Problem, UnreachableError } = await import('/js/errors.js');
            const { noticeOf } = await import('/js/logic/stage.js');
            const listing = { models: [] };
            const server = { state: 'unreachable', error: new UnreachableError() };
            const failed = (status) => ({ request: { error: new Problem({ status, detail: 'x' }) }, listing, server });
            return [503, 422].map((status) => noticeOf(failed(status), 'failed').title);
        }"""
    )
    assert titles == ["The server does not answer", "This picture is damaged"]


def test_the_same_state_gives_the_same_words_at_every_poll(notice) -> None:
    polls = [notice("no-model", "not-ready", EMPTY, {"status": 503, "detail": "x", "requestId": i}) for i in ("a", "b")]
    assert polls[0] == polls[1]


def test_a_broken_connection_is_told_from_a_server_that_is_away(notice) -> None:
    assert notice("failed", "unreachable", FULL, None)["title"] == "The server does not answer"
    assert notice("failed", "ready", FULL, None)["title"] == "The connection broke"


@pytest.mark.parametrize("view", ["empty", "busy", "answer"])
def test_nothing_is_said_while_all_is_well(notice, view) -> None:
    assert notice(view, "ready", FULL, None) is None
