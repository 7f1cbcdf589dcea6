"""The reference in docs/reference is what the code says: commands, configuration and settings."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from handful_core.errors import HandfulError


@pytest.mark.parametrize("name", ["commands.md", "configuration.md", "settings.md"])
def test_a_page_is_what_the_code_says(repository: Path, name: str) -> None:
    folder = repository / "docs" / "reference"
    written = runpy.run_path(str(folder / "generate.py"))["PAGES"][name]()
    assert (folder / name).read_text(encoding="utf-8") == written, "run: python docs/reference/generate.py"


def test_every_exit_code_is_explained(repository: Path) -> None:
    page = (repository / "docs" / "reference" / "commands.md").read_text(encoding="utf-8")
    kinds = [HandfulError]
    for kind in kinds:
        kinds += kind.__subclasses__()
        assert f"| `{kind.exit_code}` |" in page, kind
