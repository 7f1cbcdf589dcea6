"""Label Studio's exports of classifications: what choices mean, and a plan that knows nothing of the reader."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handful_core.errors import HandfulError
from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.dataset.sources.base import RawDataset
from handful_trainer.dataset.sources.registry import open_source


def choice(*names: str) -> dict[str, Any]:
    return {"from_name": "choice", "to_name": "image", "type": "choices", "value": {"choices": list(names)}}


def task(image: str, *annotations: dict[str, Any]) -> dict[str, Any]:
    return {"id": 1, "data": {"image": image}, "annotations": list(annotations), "predictions": []}


def annotation(*results: dict[str, Any], cancelled: bool = False) -> dict[str, Any]:
    return {"id": 7, "was_cancelled": cancelled, "result": list(results)}


def read(folder: Path, content: Any, *images: str, **keys: Any) -> RawDataset:
    for name in images:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    (folder / "project-1.json").write_text(json.dumps(content))
    return open_source(DatasetConfig(source="label-studio", path=folder, **keys), folder).read()


def labels(found: RawDataset) -> dict[str, tuple[tuple[str, ...], str]]:
    return {item.name: (item.labels, item.status) for item in found.items}


def test_choices_are_labels(tmp_path: Path) -> None:
    content = [
        task("/data/upload/1/0a1b2c3d-a.jpg", annotation(choice("rust"))),
        task("/data/local-files/?d=leaves/b.jpg", annotation(choice("healthy")), annotation(choice("healthy"))),
        task("s3://bucket/c%20c.jpg", annotation(choice("rust")), annotation(choice("healthy"))),
        task("/data/upload/1/1a1b2c3d-d.jpg", annotation(cancelled=True)),
        task("/data/upload/1/2a1b2c3d-e.jpg"),
    ]
    found = read(tmp_path, content, "a.jpg", "b.jpg", "c c.jpg", "d.jpg", "images/2a1b2c3d-e.jpg")
    assert labels(found) == {
        "a.jpg": (("rust",), "accepted"),
        "b.jpg": (("healthy",), "accepted"),
        "c c.jpg": (("rust", "healthy"), "accepted"),
        "d.jpg": ((), "skipped"),
        "2a1b2c3d-e.jpg": ((), "none"),
    }
    assert found.classes == ("healthy", "rust")
    assert found.warnings == ("1 listed images have no label (2a1b2c3d-e.jpg): they are left out",)


def test_the_short_form_of_json_says_the_same(tmp_path: Path) -> None:
    content = [
        {"image": "/data/upload/1/0a1b2c3d-a.jpg", "id": 1, "choice": "rust", "annotator": 1, "created_at": "2026"},
        {"image": "/data/upload/1/0a1b2c3e-b.jpg", "id": 2, "choice": {"choices": ["rust", "scab"]}, "annotator": 1},
        {"photo": "/data/upload/1/0a1b2c3f-c.jpg", "id": 3, "annotator": 1, "lead_time": 3.5},
    ]
    found = read(tmp_path, content, "a.jpg", "b.jpg", "c.jpg")
    assert labels(found) == {
        "a.jpg": (("rust",), "accepted"),
        "b.jpg": (("rust", "scab"), "accepted"),
        "c.jpg": ((), "none"),
    }


def test_of_several_controls_the_usual_one_counts(tmp_path: Path) -> None:
    quality = choice("blurry") | {"from_name": "quality"}
    content = [
        task("a.jpg", annotation(choice("rust"), quality)),
        task("b.jpg", annotation(quality)),
        task("c.jpg", annotation(choice("healthy"))),
    ]
    found = read(tmp_path, content, "a.jpg", "b.jpg", "c.jpg")
    assert labels(found)["a.jpg"] == (("rust",), "accepted")
    assert labels(found)["b.jpg"] == ((), "none")
    assert found.classes == ("healthy", "rust")
    other = read(tmp_path, content, label_studio={"control": "quality"})
    assert other.classes == ("blurry",)
    for each in content:
        each["annotations"][0]["result"][0]["from_name"] = "leaf" if each is not content[1] else "quality"
    with pytest.raises(HandfulError, match=r"may be those of leaf, quality: set dataset\.label_studio\.control"):
        read(tmp_path, content)
    with pytest.raises(HandfulError, match=r"no control 'leef' with choices: it has leaf, quality"):
        read(tmp_path, content, label_studio={"control": "leef"})


def test_other_texts_of_the_short_form_are_no_labels(tmp_path: Path) -> None:
    content: list[dict[str, Any]] = [
        {"image": "a.jpg", "id": 1, "choice": "rust", "comment": "unsure", "camera": "phone-0"},
        {"image": "b.jpg", "id": 2, "choice": "healthy", "camera": "phone-1"},
        {"image": "c.jpg", "id": 3, "camera": "phone-1"},
    ]
    found = read(tmp_path, content, "a.jpg", "b.jpg", "c.jpg")
    assert labels(found) == {
        "a.jpg": (("rust",), "accepted"), "b.jpg": (("healthy",), "accepted"), "c.jpg": ((), "none"),
    }  # fmt: skip
    (controls,) = (account for account in found.accounts if account.kind == "controls")
    assert (controls.used, controls.left_out["that are not read"].first) == (1, ("comment", "camera"))


def test_choices_for_a_region_are_no_labels_of_the_image(tmp_path: Path) -> None:
    box = {"id": "r1", "type": "rectanglelabels", "from_name": "box", "value": {"x": 1}}
    content = [task("a.jpg", annotation(box, choice("scab") | {"id": "r1"}, choice("rust") | {"id": "c1"}))]
    found = read(tmp_path, content, "a.jpg")
    assert labels(found) == {"a.jpg": (("rust",), "accepted")}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"images": []}, "holds an object, not Label Studio's list of tasks"),
        ([3], "task 1: a number where an object should be"),
        ([{"data": 3, "annotations": []}], "task 1: data: a number"),
        (
            [task("a.jpg", annotation({"type": "choices", "value": {"choices": "rust"}}))],
            "choices is not a list of texts",
        ),
        ([task("gone.jpg", annotation(choice("rust")))], r"none of the 1 images \(gone\.jpg\)"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_place(tmp_path: Path, content: Any, words: str) -> None:
    with pytest.raises(HandfulError, match=words):
        read(tmp_path, content, "a.jpg")


def test_which_file_is_meant_has_to_be_clear(tmp_path: Path) -> None:
    source = DatasetConfig(source="label-studio", path=tmp_path)
    with pytest.raises(HandfulError, match="has no JSON file"):
        open_source(source, tmp_path).read()
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_text("[]")
    with pytest.raises(HandfulError, match=r"several JSON files: a\.json, b\.json"):
        open_source(source, tmp_path).read()
    (tmp_path / "export.csv").write_text("image,choice\n")
    with pytest.raises(HandfulError, match=r"set dataset\.source: csv"):
        open_source(DatasetConfig(source="label-studio", path=tmp_path / "export.csv"), tmp_path).read()


class Planned(NamedTuple):
    """A task."""

    annotations: list[tuple[str, ...]]
    """Of each the choices; `cancelled` and `box` stand for what is no choice."""
    there: bool
    again: bool
    """Is the same task in the export twice?"""


_PLANS = st.lists(
    st.builds(
        Planned,
        st.lists(
            st.sampled_from([("rust",), ("healthy",), ("rust", "healthy"), (), ("cancelled",), ("box",)]), max_size=3
        ),
        st.sampled_from([True, True, False]),
        st.booleans(),
    ),
    min_size=1,
    max_size=6,
).map(lambda found: [found[0]._replace(there=True), *found[1:]])


def planned_task(number: int, planned: Planned) -> dict[str, Any]:
    kinds: dict[tuple[str, ...], dict[str, Any]] = {
        ("cancelled",): annotation(choice("rust"), cancelled=True),
        ("box",): annotation({"type": "rectanglelabels", "value": {"x": 1}}),
        (): annotation(),
    }
    made = [kinds.get(names) or annotation(choice(*names)) for names in planned.annotations]
    return task(f"/data/upload/1/0a1b2c{number:02d}-image {number}.jpg", *made)


def expected(plan: list[Planned], strays: int) -> dict[str, tuple[int, int, dict[str, int]]]:
    """By kind: how many there are, how many are used, and how many are left out for each reason."""
    every = [names for planned in plan for _ in range(1 + planned.again) for names in planned.annotations]
    cancelled, boxes = every.count(("cancelled",)), every.count(("box",))
    choices = sum(names not in {("cancelled",), ("box",), ()} for names in every)
    again, there = sum(planned.again for planned in plan), sum(planned.there for planned in plan)
    found = {
        "tasks": (len(plan) + again, len(plan), {"given twice": again}),
        "annotations": (len(every), len(every) - cancelled, {"that were skipped": cancelled}),
        "controls": (int(any(names not in {("box",), ()} for names in every)),) * 2 + ({},),
        "results": (choices + boxes, choices, {"of the type rectanglelabels": boxes}),
        "image files": (there + strays, there, {"not listed": strays}),
    }
    return {kind: account for kind, account in found.items() if account[0]}


@settings(max_examples=100)
@given(_PLANS, st.integers(0, 2))
def test_all_that_is_found_is_used_or_left_out_under_its_reason(plan: list[Planned], strays: int) -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        tasks = [planned_task(n, planned) for n, planned in enumerate(plan) for _ in range(1 + planned.again)]
        images = [f"image {number}.jpg" for number, planned in enumerate(plan) if planned.there]
        found = read(folder, tasks, *images, *[f"stray {number}.jpg" for number in range(strays)])
        accounts = {
            each.kind: (each.found, each.used, {reason: entry.number for reason, entry in each.left_out.items()})
            for each in found.accounts
        }
        assert accounts == {
            kind: (number, used, {reason: count for reason, count in reasons.items() if count})
            for kind, (number, used, reasons) in expected(plan, strays).items()
        }
        assert all(number == used + sum(reasons.values()) for number, used, reasons in accounts.values())
        for item, planned in zip(found.items, plan, strict=True):
            names = [name for each in planned.annotations if each not in {("cancelled",), ("box",)} for name in each]
            assert item.labels == tuple(dict.fromkeys(names))
            assert (item.path is None) != planned.there
    finally:
        shutil.rmtree(folder)
