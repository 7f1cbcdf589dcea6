"""The dashboard as a visitor sees it: what tests look at and do, in one place."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from playwright.sync_api import FilePayload, JSHandle, Locator, Page, expect

from support.waiting import until

Box = tuple[float, float, float, float]


def file(data: bytes, name: str = "scene.png", kind: str = "image/png") -> FilePayload:
    """A file as Playwright hands it to the page."""
    return FilePayload(name=name, mimeType=kind, buffer=data)


def dimensions(width: int, height: int) -> str:
    """A picture's size as the page writes it."""
    return f"{width} \N{MULTIPLICATION SIGN} {height}"


@dataclass(frozen=True)
class Screen:
    """One open dashboard."""

    page: Page

    @classmethod
    def open(cls, page: Page, address: str) -> Screen:
        """Go there and wait until the page works: it is loaded long before its modules listen to anything."""
        page.goto(address)
        screen = cls(page)
        expect(screen.part("stage")).to_have_attribute("aria-busy", re.compile("true|false"))
        return screen

    def part(self, name: str) -> Locator:
        """The element that the page marks with this name."""
        return self.page.locator(f'[data-part="{name}"]')

    @property
    def value(self) -> Locator:
        """The count, or the likeliest class."""
        return self.part("verdict-value")

    @property
    def rows(self) -> Locator:
        """The list's entries."""
        return self.page.locator(".finding")

    @property
    def boxes(self) -> Locator:
        """The boxes over the picture."""
        return self.page.locator(".box")

    def choose(self, given: FilePayload) -> None:
        """Bring a picture by the button and the file dialog."""
        with self.page.expect_file_chooser() as chooser:
            self.page.locator('[data-action="choose"]:visible').first.click()
        chooser.value.set_files(given)

    def drop(self, *given: FilePayload) -> None:
        """Bring pictures by dragging them over the page and letting go."""
        transfer = self._transfer(given)
        for event in ("dragenter", "dragover", "drop"):
            self.page.locator("body").dispatch_event(event, {"dataTransfer": transfer})

    def paste(self, *given: FilePayload) -> None:
        """Bring a picture from the clipboard."""
        transfer = self._transfer(given)
        self.page.evaluate(
            "(data) => document.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, bubbles: true }))",
            transfer,
        )

    def set_threshold(self, share: float) -> None:
        """Move the slider there, as dragging does."""
        self.part("slider").fill(str(share))

    def box_on_picture(self, place: int) -> Box:
        """Where a box is drawn, in shares of the picture as it is shown: x1, y1, x2, y2."""
        # Both in one question: between two, the page may have drawn them anew.
        x1, y1, x2, y2 = (
            self.boxes.nth(place)
            .locator(".edge")
            .evaluate(
                """(edge) => {
                const box = edge.getBoundingClientRect();
                const frame = document.querySelector('[data-part="picture"]').getBoundingClientRect();
                const across = (x) => (x - frame.left) / frame.width;
                const down = (y) => (y - frame.top) / frame.height;
                return [across(box.left), down(box.top), across(box.right), down(box.bottom)];
            }"""
            )
        )
        return x1, y1, x2, y2

    def until(self, holds: Callable[[], object], what: str) -> None:
        """Wait until it holds, while the page goes on."""
        until(holds, what, sleep=lambda seconds: self.page.wait_for_timeout(1000 * seconds))

    def open_picker(self) -> Locator:
        """Open the list of models; its entries."""
        self.part("picker-button").click()
        return self.page.locator(".version")

    def pick(self, words: str) -> None:
        """Choose the version whose entry holds these words."""
        self.open_picker().filter(has_text=words).click()

    def expect_view_state(self, view: Literal["empty", "busy", "answer", "failed", "no-model", "unreachable"]) -> None:
        """Wait until the stage shows this."""
        expect(self.part("stage")).to_have_attribute("data-face", view)

    def _transfer(self, given: tuple[FilePayload, ...]) -> JSHandle:
        plain: list[dict[str, Any]] = [
            {"name": f["name"], "type": f["mimeType"], "data": base64.b64encode(f["buffer"]).decode()} for f in given
        ]
        return self.page.evaluate_handle(
            """(files) => {
                const transfer = new DataTransfer();
                for (const { name, type, data } of files) {
                    const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
                    transfer.items.add(new File([bytes], name, { type }));
                }
                return transfer;
            }""",
            plain,
        )
