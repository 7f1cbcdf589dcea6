"""Names that one system writes with composed accents and another with decomposed ones."""

from __future__ import annotations

import itertools
import json
import time
import unicodedata
from pathlib import Path

import pytest

from fakes.exports import coco_file
from handful_core.errors import DataError
from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.dataset.sources.base import RawDataset
from handful_trainer.dataset.sources.fields import read_json
from handful_trainer.dataset.sources.registry import open_source

FORMS = list(itertools.product(("NFC", "NFD"), repeat=3))


def spelt(form: str, text: str) -> str:
    return unicodedata.normalize(form, text)  # type: ignore[arg-type]


def read(source: str, folder: Path) -> RawDataset:
    return open_source(DatasetConfig(source=source, path=folder), folder).read()


@pytest.mark.parametrize(("said", "file", "place"), FORMS)
@pytest.mark.parametrize("below", ["images", "."])
def test_coco_finds_an_image_whose_accents_are_written_in_another_way(
    tmp_path: Path, said: str, file: str, place: str, below: str
) -> None:
    place = file if below == "." else place  # Above the JSON file names are tried whole, in either form.
    path = tmp_path / below / spelt(place, "Fête") / spelt(file, "Händ é.jpg")
    path.parent.mkdir(parents=True)
    path.touch()
    coco_file(tmp_path / "annotations/all.json", {spelt(said, "Fête/Händ é.jpg"): [("cat", 1, 2, 30, 20)]})
    assert [item.path for item in read("coco", tmp_path).items] == [path]


@pytest.mark.parametrize(("xml", "file", "line"), FORMS)
@pytest.mark.parametrize("other", ["", "1"])
def test_voc_finds_an_image_whose_accents_are_written_in_another_way(
    tmp_path: Path, xml: str, file: str, line: str, other: str
) -> None:
    image = tmp_path / "JPEGImages" / spelt(file, "Händ é.jpg")
    annotation = tmp_path / "Annotations" / (other or spelt(xml, "Händ é"))
    for path in (image, annotation):
        path.parent.mkdir(parents=True, exist_ok=True)
    image.touch()
    annotation.with_name(annotation.name + ".xml").write_text(
        f"<annotation><filename>{spelt(line, 'Händ é.jpg')}</filename></annotation>"
    )
    (tmp_path / "test.txt").write_text((other or spelt(line, "Händ é")) + "\n")
    found = read("voc", tmp_path)
    assert [(item.path, item.split) for item in found.items] == [(image, "test")]
    assert found.warnings == ()


def test_of_two_spellings_each_names_its_own_file(tmp_path: Path) -> None:
    names = [spelt(form, "é.jpg") for form in ("NFC", "NFD")]
    for name in names:
        (tmp_path / name).touch()
    if len(list(tmp_path.iterdir())) == 1:
        pytest.skip("this file system takes both spellings for one")
    coco_file(tmp_path / "all.json", {name: [("cat", 1, 2, 30, 20)] for name in names})
    assert [item.path for item in read("coco", tmp_path).items] == [tmp_path / name for name in names]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"images": [], "images": []}', "gives the key 'images' twice in one object: remove one"),
        ('[{"id": 7, "bbox": [1], "x": {}, "bbox": [2]}]', r"gives the key 'bbox' twice in one object \('7'\)"),
        ('{"a": {"b": 1, "c": 2, "b": 1}}', "gives the key 'b' twice in one object"),
    ],
)
def test_a_key_that_is_given_twice_is_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(DataError, match=words):
        read_json(path, "something")


def test_looking_for_keys_given_twice_is_quick(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    content = {"annotations": [{"id": n, "image_id": n, "bbox": [1.5, 2, 3, 4], "iscrowd": 0} for n in range(60_000)]}
    path.write_text(json.dumps(content))
    started = time.perf_counter()
    assert read_json(path, "annotations") == content
    assert time.perf_counter() - started < 5
