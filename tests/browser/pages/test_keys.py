"""Keys, and browsers that keep nothing for the page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from browser.scene import scene
from browser.screen import Screen, file
from fakes.packages import build_package, encode
from handful_serving.adapters.key_file import KeyFile
from handful_serving.domain.auth import ApiKey, digest_of
from support.live_serving import LiveServing

KEY = "secret-of_predict.1~"
DATA = encode(scene({(1, 1): "5", (4, 4): "2"}))


@pytest.fixture
def locked(tmp_path: Path, dashboard: Path) -> Iterator[LiveServing]:
    """A server that wants `KEY`."""
    KeyFile(tmp_path / "home" / "keys.json").write([ApiKey("one", digest_of(KEY), frozenset({"predict"}), None)])
    with LiveServing(tmp_path / "home", dashboard, {"auth": "on"}) as serving:
        serving.mlflow.register(build_package(tmp_path / "1"), aliases=["champion"])
        serving.wait_until_ready()
        yield serving


def _give(page: Page, key: str) -> None:
    page.get_by_label("Key", exact=True).fill(key)
    page.get_by_role("button", name="Use this key").click()


@pytest.mark.parametrize("misfit", ["clé", "two words", "a/b", "\N{ZERO WIDTH SPACE}" + KEY])
def test_what_cannot_be_a_key_is_not_sent_but_asked_again(page, console, locked, misfit) -> None:
    console.expect("status of 401")
    page.goto(locked.url)
    _give(page, misfit)
    expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("This is no key")
    _give(page, f" {KEY} ")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(Screen(page).part("picker-button")).to_contain_text("fingers")


def test_a_kept_key_that_cannot_be_one_is_forgotten(page, console, locked) -> None:
    console.expect("status of 401")
    page.add_init_script("sessionStorage.setItem('handful.key', 'clé / 1')")
    page.goto(locked.url)
    expect(page.get_by_text("This server asks for an API key.")).to_be_visible()
    assert page.evaluate("sessionStorage.getItem('handful.key')") is None


@pytest.mark.parametrize("view", ["models", "health"])
def test_who_wanted_no_key_is_asked_again_by_the_next_view(page, console, locked, view) -> None:
    console.expect("status of 401")
    page.goto(locked.url)
    page.get_by_role("button", name="Not now").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.locator(f'[data-to="{view}"]').click()
    _give(page, KEY)
    expect(page.get_by_role("table").first).to_be_visible()


@pytest.fixture
def forgetful(page: Page) -> Page:
    """A page of a browser that forbids pages to keep anything."""
    page.add_init_script(
        """for (const name of ['localStorage', 'sessionStorage'])
            Object.defineProperty(window, name, { get() { throw new DOMException('', 'SecurityError'); } });"""
    )
    return page


def test_without_storage_the_page_works_and_keeps_the_key_until_it_is_left(forgetful, console, locked) -> None:
    console.expect("status of 401")
    forgetful.goto(locked.url)
    _give(forgetful, KEY)
    screen = Screen(forgetful)
    expect(screen.part("picker-button")).to_contain_text("fingers")
    screen.drop(file(DATA))
    expect(screen.value).to_have_text("7")


def test_without_storage_the_language_goes_with_the_address(forgetful, serving) -> None:
    screen = Screen.open(forgetful, f"{serving.url}/#health")
    for language in ("fr", "en"):
        screen.part("language").click()
        expect(forgetful.locator("html")).to_have_attribute("lang", language)
        assert forgetful.url == f"{serving.url}/?language={language}#health"


def test_what_was_chosen_before_goes_before_the_address(page: Any, serving) -> None:
    screen = Screen.open(page, f"{serving.url}/?language=fr")
    expect(page.locator("html")).to_have_attribute("lang", "fr")
    screen.part("language").click()
    expect(page.locator("html")).to_have_attribute("lang", "en")
