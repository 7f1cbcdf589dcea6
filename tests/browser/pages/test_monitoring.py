"""Monitoring: what has changed, in words that need no statistics, and what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from browser.screen import Screen
from browser.stock import CAMERA, DOOR, LINE, stock_monitor
from handful_monitor.domain.verdict import Stream
from support.live_monitor import LiveMonitor
from support.live_serving import LiveServing


def _part(page: Page, name: str) -> Any:
    return page.locator(f'[data-part="{name}"]')


def _open(page: Page, address: str) -> None:
    Screen.open(page, f"{address}/#monitoring")
    expect(page.locator('[data-part="monitoring-body"] .card').first).to_be_visible()


def _pick(page: Page, source: str) -> None:
    page.locator(".stream", has_text=source).click()
    expect(page.locator('.stream[aria-pressed="true"]')).to_contain_text(source)


def _axe(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [f"{one['id']}: {[node['html'] for node in one['nodes']]}" for one in found]


def test_the_camera_that_has_changed_is_shown_first_in_plain_words(page, serving) -> None:
    _open(page, serving.url)
    expect(_part(page, "headline")).to_have_text("Pictures are darker than in training.")
    card = _part(page, "verdict-card")
    expect(card).to_contain_text("Answers are less sure than in training.")
    expect(card).to_contain_text("3 verdicts in a row")
    expect(card).to_contain_text("looked at 260 answers")
    expect(card).to_contain_text("80 of 250 answers wait for the next verdict.")
    expect(card).to_contain_text("What now Look at some of the new pictures.")
    expect(_part(page, "past").locator("li")).to_have_count(6)
    expect(_part(page, "past").locator(".changed")).to_have_count(3)
    expect(card).to_contain_text("3 of the last 6 verdicts say “changed”.")
    assert re.fullmatch(
        r"http://mlflow\.example/#/experiments/7/runs/1+/artifacts/report\.html\?.*",
        card.get_by_role("link", name="Report by Evidently").get_attribute("href"),
    )
    expect(card.get_by_role("link", name="Open in MLflow")).to_be_visible()


def test_then_and_now_stand_side_by_side(page, serving) -> None:
    _open(page, serving.url)
    dark = page.locator('[data-feature="brightness"]')
    expect(dark.locator("rect.then")).to_have_count(16)
    expect(dark.locator("rect.now")).to_have_count(16)
    then, now = (float(dark.locator(f".pair .{side} dd").first.inner_text()) for side in ("then", "now"))
    assert then == pytest.approx(0.52, abs=0.03)
    assert now == pytest.approx(0.35, abs=0.03)
    expect(dark.get_by_role("img")).to_have_accessible_name(f"Brightness: {then:.3g} in training, {now:.3g} now")
    same = page.locator(".same summary")
    expect(same).to_have_text("7 more features are as in training")
    expect(page.locator('[data-feature="sharpness"]')).not_to_be_visible()
    same.click()
    expect(page.locator('[data-feature="sharpness"]')).to_be_visible()
    words = page.locator('[data-feature="first_class"] .word')
    expect(words).to_have_count(6)
    expect(words.last.locator("dt")).to_have_text("all others")
    assert _axe(page) == []


def test_each_source_can_be_looked_at_and_stays_while_the_page_asks_again(page, serving) -> None:
    page.clock.install()
    _open(page, serving.url)
    expect(page.locator(".stream")).to_have_count(3)
    _pick(page, LINE.source)
    expect(_part(page, "headline")).to_have_text("Pictures and answers are as in training.")
    expect(_part(page, "verdict-card")).to_contain_text("Nothing is to be done.")
    _pick(page, DOOR.source)
    expect(_part(page, "headline")).to_have_text("130 of 250 answers for the first verdict.")
    expect(_part(page, "features")).to_have_count(0)
    with page.expect_response("**/monitor/verdicts"):
        page.clock.run_for(21_000)
    expect(_part(page, "headline")).to_have_text("130 of 250 answers for the first verdict.")
    expect(page.locator('.stream[aria-pressed="true"]')).to_be_focused()


def test_what_is_open_stays_open_while_the_page_asks_again(page, serving) -> None:
    page.clock.install()
    _open(page, serving.url)
    page.locator(".same summary").click()
    for _ in range(2):
        with page.expect_response("**/monitor/requests*"):
            page.clock.run_for(21_000)
        expect(page.locator('[data-feature="sharpness"]')).to_be_visible()


def test_requests_over_time_are_drawn_from_the_log(page, serving) -> None:
    _open(page, serving.url)
    lines = _part(page, "traffic").locator("li")
    expect(lines).to_have_count(1)
    expect(lines.get_by_role("img")).to_have_accessible_name(re.compile(r"^Requests a minute: [\d.,]+ at last$"))
    with page.expect_response("**/monitor/requests?model=fingers&hours=168"):
        page.get_by_label("Over").select_option("168")
    expect(page.get_by_label("Over")).to_have_value("168")


def test_nothing_can_be_set_in_motion(page, serving) -> None:
    """A change is shown. Training and promoting are somebody's own decision, elsewhere."""
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method))
    _open(page, serving.url)
    labels = page.locator('[data-view="monitoring"] button').all_inner_texts()
    assert not [label for label in labels if re.search(r"train\b|champion|promote|roll", label, re.IGNORECASE)]
    assert set(sent) == {"GET"}


def test_in_french_the_changes_are_french(browser, serving) -> None:
    page = browser.new_context(locale="fr-FR").new_page()
    _open(page, serving.url)
    expect(page).to_have_title("Suivi · Handful")
    expect(_part(page, "headline")).to_have_text(re.compile("^Les images sont plus sombres qu.à l.entraînement\\.$"))
    expect(_part(page, "verdict-card")).to_contain_text(re.compile("Les réponses sont moins sûres qu.à l.entraînement"))
    page.context.close()


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory, dashboard: Path) -> Iterator[tuple[LiveServing, LiveMonitor]]:
    """A server whose monitor each test fills by itself. It has no model: that is another part's affair."""
    monitor = LiveMonitor()
    serving = LiveServing(tmp_path_factory.mktemp("watched"), dashboard, {"monitor": monitor.url})
    with monitor, serving:
        yield serving, monitor


@pytest.fixture
def monitor(watched: tuple[LiveServing, LiveMonitor], console: Any) -> LiveMonitor:
    console.expect("503")  # There is no model.
    watched[1].clear()
    return watched[1]


def _notice(page: Page, name: str, *words: str) -> None:
    card = page.locator(f'[data-notice="{name}"]')
    for one in words:
        expect(card).to_contain_text(one)
    assert _axe(page) == []


def test_a_monitor_that_has_just_started(page, watched, monitor) -> None:
    _open(page, watched[0].url)
    _notice(page, "starting", "The monitor has just started", "It reads the log first.")


def test_nothing_was_asked_yet(page, watched, monitor) -> None:
    monitor.standing.end_round()
    _open(page, watched[0].url)
    _notice(page, "empty", "Nothing to compare yet", "?source=camera-1")
    expect(page.get_by_role("button", name="Copy")).to_be_visible()


def test_a_few_rows_alone(page, watched, monitor) -> None:
    monitor.say(CAMERA, 1, count=90)
    monitor.standing.end_round()
    _open(page, watched[0].url)
    expect(_part(page, "headline")).to_have_text("Only 90 answers: too few to say anything.")
    expect(_part(page, "verdict-card")).to_contain_text("Wait for more pictures")
    assert _axe(page) == []


def test_a_version_that_cannot_be_compared_says_why(page, watched, monitor) -> None:
    monitor.say(Stream("fingers", "1", ""), 1, count=300)
    monitor.standing.end_round()
    _open(page, watched[0].url)
    expect(_part(page, "headline")).to_contain_text("has no profile")
    expect(page.locator(".stream")).to_contain_text("no source named")
    expect(page.get_by_text("There is no comparison to show.")).to_be_visible()


def test_one_window_that_differs_is_said_to_be_one(page, watched, monitor) -> None:
    monitor.say(CAMERA, 1, brightness=-0.17, confirmed=False)
    monitor.standing.end_round()
    _open(page, watched[0].url)
    expect(_part(page, "headline")).to_have_text("Pictures and answers are as in training.")
    expect(_part(page, "verdict-card")).to_contain_text(
        "In the newest answers alone: Pictures are darker than in training."
    )


def test_while_mlflow_is_away_what_was_known_stays_and_its_age_is_said(page, watched, monitor) -> None:
    stock_monitor(monitor)
    monitor.standing.end_round("MLflow does not answer", mlflow_up=False)
    _open(page, watched[0].url)
    _notice(page, "away", "MLflow does not answer", "This is what was known on", "Nothing is lost")
    expect(_part(page, "headline")).to_have_text("Pictures are darker than in training.")


def test_a_round_that_failed_otherwise_says_why(page, watched, monitor) -> None:
    stock_monitor(monitor)
    monitor.standing.end_round("MLflow's experiment monitoring/leaves is deleted")
    _open(page, watched[0].url)
    _notice(page, "failed", "MLflow's experiment monitoring/leaves is deleted")


def test_without_a_monitor_the_page_says_how_to_start_one(page, tmp_path, dashboard, console) -> None:
    console.expect("503", "404")
    with LiveServing(tmp_path, dashboard, {"monitor": "http://127.0.0.1:9"}) as serving:
        _open(page, serving.url)
        _notice(page, "absent", "No monitor is running", "docker compose --profile monitoring up --wait")
        expect(page.get_by_role("button", name="Copy")).to_have_count(2)
        expect(_part(page, "monitoring-says")).to_be_empty()


def test_a_server_that_goes_away_leaves_what_was_shown(page, tmp_path, dashboard, console) -> None:
    console.expect("503", "Failed to load resource")
    page.clock.install()
    monitor = LiveMonitor()
    stock_monitor(monitor)
    with monitor, LiveServing(tmp_path, dashboard, {"monitor": monitor.url}) as serving:
        _open(page, serving.url)
        serving.stop()
        page.clock.run_for(21_000)
        expect(_part(page, "monitoring-says")).to_have_text("The server does not answer")
        expect(_part(page, "headline")).to_have_text("Pictures are darker than in training.")


@pytest.mark.parametrize("name", ["<b>x</b>", "line 2, near the door", "caméra-été", "a" * 64])
def test_names_of_all_kinds_stay_text(page, watched, monitor, name) -> None:
    page.set_viewport_size({"width": 320, "height": 800})
    monitor.say(Stream(name, "3", name[:64]), 1, count=90)
    monitor.standing.end_round()
    _open(page, watched[0].url)
    expect(page.locator(".stream")).to_contain_text(name)
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
