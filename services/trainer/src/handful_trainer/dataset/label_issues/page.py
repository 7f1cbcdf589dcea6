"""issues.html: the most suspicious labels as pictures, in one file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from handful_core.files import write_atomically
from handful_trainer.dataset.report.page import Gallery, Outline, picture_of_file, template

ISSUES_PAGE = "issues.html"
PAGE = "issues.html"
_SHOWN = 200
"""Pictures on the page: what one looks through in a quarter of an hour. The file has all."""
_PROPOSED_HUE = 140
"""Green."""
_KINDS = {
    "missed": "Objects without a label",
    "spurious": "Labels of nothing",
    "wrong class": "Labels of another class",
    "badly placed": "Boxes in the wrong place",
}


def write_page(path: Path, content: Mapping[str, Any]) -> None:
    """Write the page.

    Args:
        path: of the page.
        content: of issues.json.
    """
    root, issues = Path(content["dataset"]["folder"]), content["issues"][:_SHOWN]
    pictures = [_picture(root, issue) for issue in issues]
    kinds = Counter(issue["kind"] for issue in issues)
    html = template("issues.html.j2").render(
        content=content,
        kinds=[(_KINDS[kind], kinds[kind]) for kind in _KINDS if kinds[kind]],
        gallery=Gallery("The most suspicious first", len(content["issues"]), pictures),
    )
    write_atomically(path, html.encode("utf-8", errors="replace"))


def _picture(root: Path, issue: Mapping[str, Any]) -> Any:
    title = f"{issue['rank']}. {issue['kind']}: {_words(issue)}"
    note = f"{issue['image']}, {issue['score']:.2f}"
    return picture_of_file(root / issue["image"], title, note, tuple(_outlines(issue)))


def _words(issue: Mapping[str, Any]) -> str:
    given, proposed = issue["given"], issue["proposed"]
    if given is None:
        return str(proposed["name"])
    if proposed is None or proposed["name"] == given["name"]:
        return str(given["name"])
    return f"{given['name']}, or {proposed['name']}"


def _outlines(issue: Mapping[str, Any]) -> list[Outline]:
    """The label in red, what the model says in green; nothing of the whole image."""
    found = []
    for key, kind in (("given", "dropped"), ("proposed", "kept")):
        named = issue[key]
        if named and "box" in named:
            left, top, right, bottom = named["box"]
            found.append(Outline(left, top, right - left, bottom - top, named["name"], kind, _PROPOSED_HUE))
    return found
