"""docs/reference/licences.md is what locks and packages say, for every image that Compose and Dockerfiles name."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import pytest
import yaml

_STALE = "run: python docs/reference/licences.py"


@pytest.fixture(scope="module")
def written(repository: Path) -> dict[str, Any]:
    return runpy.run_path(str(repository / "docs" / "reference" / "licences.py"))


@pytest.fixture(scope="module")
def text(repository: Path) -> str:
    return (repository / "docs" / "reference" / "licences.md").read_text(encoding="utf-8")


def _refuse(name: str, version: str) -> str:
    raise AssertionError(f"{name} {version} is not on the page: {_STALE}")


def _rows(text: str) -> dict[tuple[str, str], tuple[str, str]]:
    found = re.findall(r"^\| `([^`]+)` \| (\d\S*) \| ([^|]+) \| ([^|]+) \|$", text, re.MULTILINE)
    return {(name, version): (licence, images) for name, version, licence, images in found}


def test_the_page_is_what_the_packages_say(written: dict[str, Any], text: str) -> None:
    assert written["page"](_refuse) == text, _STALE


def test_every_package_says_its_licence(text: str) -> None:
    rows = _rows(text)
    assert len(rows) > 200
    assert [key for key, (licence, _) in rows.items() if licence == "NOT SAID"] == []


def test_another_version_is_not_on_the_page(written: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that went on is noticed where its packages are not installed, too."""
    pins = written["_pins"]
    newer = {"scripts/installer/evidently.txt": {"evidently": "99.0"}}
    monkeypatch.setitem(written["_packages"].__globals__, "_pins", lambda file: {**pins(file), **newer.get(file, {})})
    with pytest.raises(AssertionError, match=r"evidently 99\.0 is not on the page"):
        written["page"](_refuse)


def test_what_obliges_stays_where_it_is_said_to_be(text: str) -> None:
    images = {name: images for (name, _), (_, images) in _rows(text).items()}
    # The page says that nothing else contains Ultralytics, and what you get only if you ask for it.
    assert {name: images[name] for name in images if "ultralytics" in name} == dict.fromkeys(
        ("ultralytics-opencv-headless", "ultralytics-platform", "ultralytics-thop"), "trainer"
    )
    assert images["pillow-heif"] == "serving (`heif`), trainer (`heif`)"
    strong = re.findall(r"^\| (A?GPL) \| (.*?) \|", text, re.MULTILINE)
    assert dict(strong) == {
        "AGPL": "`ultralytics-opencv-headless`, `ultralytics-platform`, `ultralytics-thop`",
        "GPL": "`pillow-heif`, `pygit2`",
    }
    assert images["pygit2"] == "trainer (`dvc`)"


@pytest.mark.parametrize(
    ("licence", "chosen"),
    [
        ("Apache-2.0 OR GPL-2.0-or-later", "Apache-2.0"),
        ("EPL-2.0 OR GPL-2.0-or-later", "EPL-2.0"),
        ("MPL-2.0 AND (Apache-2.0 OR MIT)", "MPL-2.0 AND (Apache-2.0 OR MIT)"),
        ("GPL-2.0", "GPL-2.0"),
    ],
)
def test_where_you_may_choose_the_mildest_counts(written: dict[str, Any], licence: str, chosen: str) -> None:
    assert written["_chosen"](licence) == chosen


def test_every_image_is_named(written: dict[str, Any], text: str, repository: Path) -> None:
    services = yaml.safe_load((repository / "docker-compose.yml").read_text(encoding="utf-8"))["services"].values()
    images = {re.sub(r"^\$\{\w+:-|\}$", "", each["image"]) for each in services}
    own = {image for image in images if image.startswith("handful/")}
    bases = set[str]()
    for file in [*repository.glob("services/*/Dockerfile"), repository / "dashboard" / "Dockerfile"]:
        bases |= set(re.findall(r"^ARG \w+_IMAGE=(\S+)", file.read_text(encoding="utf-8"), re.MULTILINE))
    assert {name.rpartition(":")[0] for name in (images - own) | bases} == set(written["_OTHERS"])
    for image in own:
        assert f"`{image.removeprefix('handful/').partition(':')[0]}`" in text


@pytest.mark.parametrize(
    ("expression", "text", "classifiers", "licence"),
    [
        ("MIT", "BSD", ["License :: OSI Approved :: ISC License (ISCL)"], "MIT"),
        (None, "MIT License\n\nCopyright", [], "MIT"),
        (None, "The whole text of a licence.\nIn many lines.", ["License :: OSI Approved :: BSD License"], "BSD"),
        (None, "UNKNOWN", [], "NOT SAID"),
        (None, None, ["License :: DFSG approved", "License :: OSI Approved :: MIT License"], "MIT"),
    ],
)
def test_the_clearest_word_counts(
    written: dict[str, Any], expression: str | None, text: str | None, classifiers: list[str], licence: str
) -> None:
    assert written["licence_of"]("any", expression, text, classifiers) == licence
