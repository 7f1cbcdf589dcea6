"""The documentation builds as a site without a dead link, and its pages load nothing from elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def site(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site: a strict build ends with 1 at a dead link, a dead anchor and a page that no menu has."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=repository, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


class _Loaded(HTMLParser):
    """What a browser fetches by itself to show a page."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.addresses += [value for name in ("src", "srcset", "poster") if (value := found.get(name))]
        if tag == "link" and found.get("href"):
            self.addresses.append(found["href"] or "")
        if style := found.get("style"):
            self.addresses += _in_css(style)


def _in_css(text: str) -> list[str]:
    return re.findall(r"(?:url\(|@import)\s*[\"']?([^\"')\s;]+)", text)


def _is_elsewhere(address: str) -> bool:
    return address.startswith("//") or bool(re.match(r"(?!data:)[a-z]+:", address))


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    pages, sheets = [*site.rglob("*.html")], [*site.rglob("*.css")]
    assert len(pages) > 30
    assert sheets
    for page in pages:
        loaded = _Loaded()
        loaded.feed(page.read_text(encoding="utf-8"))
        assert loaded.addresses
        assert not [address for address in loaded.addresses if _is_elsewhere(address)], page
    for sheet in sheets:
        assert not [address for address in _in_css(sheet.read_text(encoding="utf-8")) if _is_elsewhere(address)], sheet


def test_every_page_of_the_repository_is_on_the_site(site: Path, repository: Path) -> None:
    docs = repository / "docs"
    expected = {page.relative_to(docs).with_suffix(".html").as_posix() for page in docs.rglob("*.md")}
    expected = {name.removesuffix("README.html") + "index.html" if "README" in name else name for name in expected}
    expected |= {"changelog.html", "contributing.html", "security.html", "models/fingers.html", "models/leaves.html"}
    assert not {name for name in expected if not (site / name).is_file()}


def test_every_decision_is_listed(repository: Path) -> None:
    folder = repository / "docs" / "adr"
    listed = re.findall(r"\]\((\d{4}-[^)]+\.md)\)", (folder / "README.md").read_text(encoding="utf-8"))
    assert listed == sorted(path.name for path in folder.glob("0*.md"))


def test_the_documents_that_the_slides_name_are_found(repository: Path) -> None:
    page = (repository / "docs" / "index.md").read_text(encoding="utf-8")
    named = re.findall(r"^\| (.+?) \|", page.partition("## Eight documents by name")[2], re.MULTILINE)[1:]
    assert len(named) == 8
    wanted = ("README principal", "Guide d'entraînement", "Guide Windows", "Documentation backup/restore")
    assert all(any(name.startswith(document) for name in named) for document in wanted)
