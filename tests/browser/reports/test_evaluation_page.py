"""The page of a classifier's evaluation, as people read it."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from playwright.sync_api import Page, expect

from fakes.packages import build_package, filled
from handful_core.runtime.model import load_model
from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.tasks.classification.evaluation.evaluate import evaluate

FRUIT = ("apple", "pear <b>", "plum & co")
"""Names that are no HTML."""


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """75 noisy pictures for the test, three of them in the wrong folder, and as many to learn the border from."""
    root, rng = tmp_path_factory.mktemp("report"), np.random.default_rng(0)
    for split in ("train", "test"):
        for place, name in enumerate(FRUIT):
            (root / split / name).mkdir(parents=True)
            for number in range(25):
                shown = FRUIT[place - 1] if split == "test" and number == 0 else name
                pixels = np.clip(filled(shown, FRUIT) + rng.normal(0, 50, (64, 64, 3)), 0, 255).astype(np.uint8)
                cv2.imwrite(str(root / split / name / f"{place}-{number}.png"), pixels)
    package = build_package(root / "package", head="logits", name="fruit", classes=FRUIT, counts={}, limits=True)
    model = load_model(package, threads=1)
    found = evaluate(model, PreparedDataset.open(root), "test").stressed(model)
    return found.write(root / "out") / "test_pictures.html"


@pytest.fixture
def opened(page: Page, page_file: Path) -> Page:
    """Open it, from the disk, without any network."""
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("request", lambda asked: complaints.append(asked.url) if asked.url.startswith("http") else None)
    page.goto(page_file.as_uri())
    assert complaints == []
    return page


def test_it_says_all_there_is(opened: Page) -> None:
    expect(opened.get_by_role("heading", level=2)).to_have_text(
        ["Numbers", "Classes", "Charts", "Shortcut check", "Slices", "Worse pictures", "Worst mistakes"]
    )
    expect(opened.locator("p").first).to_contain_text("75 images, 3 of them with a wrong answer")
    expect(opened.locator(".warnings li")).to_have_text([re.compile("^the background gives the class away")])
    expect(opened.get_by_role("row", name="accuracy 0.9600")).to_contain_text("to")
    expect(opened.get_by_role("row", name="pear <b> 25 0.960")).to_be_visible()
    expect(opened.get_by_role("row", name="size all alike")).to_contain_text("75")
    expect(opened.get_by_role("row", name="noise, strong")).to_be_visible()


def test_every_mistake_is_shown_with_truth_and_answer(opened: Page) -> None:
    cards = opened.locator(".mistakes figure")
    expect(cards).to_have_count(3)
    expect(cards.filter(has_text="it is apple")).to_contain_text(re.compile(r"plum & co \d"))
    for place in range(3):
        picture = cards.nth(place).locator("img")
        picture.scroll_into_view_if_needed()
        expect(picture).to_have_js_property("naturalWidth", 64)
    charts = opened.locator(".charts img")
    expect(charts).to_have_count(3)
    for place in range(3):
        assert charts.nth(place).evaluate("(image) => image.complete && image.naturalWidth > 300")


@pytest.mark.parametrize("width", [360, 1280])
def test_it_fits_on_any_screen(opened: Page, width: int) -> None:
    opened.set_viewport_size({"width": width, "height": 800})
    assert opened.evaluate("document.documentElement.scrollWidth <= innerWidth")
