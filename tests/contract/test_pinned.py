"""What users build on, held to what it was: fingerprints, prepared folders, manifests, settings, help and HTTP.

A rebuild of the code must not show here. Where a change is meant, `WRITE_PINS=1 pytest tests/contract/test_pinned.py`
writes the files in `pinned/` anew, and the changelog says what changed.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from fakes.packages import build_package
from fakes.registry import FakeMlflow
from handful_core.cli.main import build_app
from support.serving_app import make_app

PINNED = Path(__file__).parent / "pinned"
SAMPLE = """
dataset:
  source: sample
  seed: 3
  sample: {images: 24, size: 96}
"""
FINGERS = """
dataset:
  source: picsellia-export
  path: PATH
  classes: ["0", "1", "2", "3", "4", "5", unknown]
  unknown_labels: drop
"""


def check(name: str, text: str) -> None:
    """Compare with what is pinned, or pin it."""
    file = PINNED / name
    if os.environ.get("WRITE_PINS"):
        file.write_text(text, encoding="utf-8", newline="\n")
    assert text == file.read_text(encoding="utf-8"), f"{name} is not as it was: see the docstring"


def prepare(config: str, folder: Path) -> Mapping[str, Any]:
    """What `handful data prepare --json` prints."""
    (folder / "config.yaml").write_text(config, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "handful_core", "data", "prepare", "--config", str(folder / "config.yaml"), "--json"],
        env=os.environ | {"HANDFUL_HOME": str(folder / "home")},
        capture_output=True,
        text=True,
        check=True,
    )
    answer: Mapping[str, Any] = json.loads(done.stdout)
    return answer


def digests(root: Path) -> dict[str, str]:
    """sha256 of every file below a folder."""
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_drawn_dataset_is_the_same_to_the_byte(tmp_path: Path) -> None:
    report = prepare(SAMPLE, tmp_path)
    (drawn,) = [digests(folder / "images") for folder in (tmp_path / "home" / "drawn").iterdir()]
    pixels = hashlib.sha256("".join(drawn.values()).encode()).hexdigest()
    known = PINNED / "sample.json"
    if known.is_file() and not os.environ.get("WRITE_PINS") and json.loads(known.read_text())["pixels"] != pixels:
        pytest.skip("this processor rounds the drawings' pixels otherwise: what is made of them cannot be compared")
    found = {"pixels": pixels, "fingerprint": report["fingerprint"], "files": digests(Path(report["folder"]))}
    check("sample.json", json.dumps(found, indent=1) + "\n")


def test_real_photos_have_the_same_fingerprint(tmp_path: Path, shared_data: Path) -> None:
    report = prepare(FINGERS.replace("PATH", str(shared_data / "fingers-315")), tmp_path)
    splits = {split: content["images"] for split, content in report["splits"].items()}
    labels = hashlib.sha256()
    for path in sorted((Path(report["folder"]) / "labels").rglob("*.txt")):
        labels.update(path.read_bytes())
    found = {"fingerprint": report["fingerprint"], "splits": splits, "labels": labels.hexdigest()}
    check("fingers-315.json", json.dumps(found, indent=1) + "\n")


@pytest.mark.parametrize("layout", ["raw", "nms_free", "nms_in_graph", "probabilities", "logits"])
def test_a_manifest_says_what_it_said(tmp_path: Path, layout: Any) -> None:
    package = build_package(tmp_path / "package", head=layout)
    content = json.loads((package.root / "manifest.json").read_bytes())
    # Bytes of the tiny graph and the picture depend on the libraries that write them.
    content["files"] = sorted(content["files"])
    check(f"manifest-{layout}.json", json.dumps(content, indent=1) + "\n")


def commands(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """A command's words, and those of all below it."""
    yield words
    for name, inner in sorted(getattr(command, "commands", {}).items()):
        yield from commands(inner, (*words, name))


def test_the_command_takes_what_it_took() -> None:
    app, pages = build_app(), []
    for words in commands(typer.main.get_command(app)):
        shown = CliRunner().invoke(app, [*words, "--help"], prog_name="handful", terminal_width=120)
        assert shown.exit_code == 0, words
        pages.append(shown.stdout)
    check("help.txt", "\n".join(pages))


def test_configurations_mean_what_they_meant(repository: Path) -> None:
    texts = []
    for file in sorted((repository / "configs").glob("*.yaml")):
        shown = CliRunner().invoke(build_app(), ["train", "--config", str(file), "--print-config"])
        if shown.exit_code == 0:  # The search is no training.
            texts.append(f"# {file.name}\n{shown.stdout}")
    assert texts
    check("configs.yaml", "\n".join(texts))


def test_the_api_is_the_same(tmp_path: Path) -> None:
    described = make_app(tmp_path, FakeMlflow()).openapi()
    check("openapi.json", json.dumps(described, indent=1, sort_keys=True) + "\n")
