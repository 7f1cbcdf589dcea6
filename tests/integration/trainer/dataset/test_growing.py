"""A dataset that grows: from source to folder, on small datasets made here."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from fakes.exports import PicselliaExport, encoded, picture, twelve
from handful_core.errors import DataError
from handful_trainer.dataset.preparation.prepare import prepare
from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.dataset.settings import DatasetConfig


@pytest.fixture
def export(tmp_path: Path) -> PicselliaExport:
    return twelve(tmp_path / "pets")


def config(export: PicselliaExport, **settings: Any) -> DatasetConfig:
    return DatasetConfig.model_validate(
        {"source": "picsellia-export", "path": export.folder, "classes": ("cat", "dog"), **settings}
    )


def add(export: PicselliaExport, first: int, number: int) -> None:
    for n in range(first, first + number):
        export.add(f"asset-{n}", ("cat" if n % 3 else "dog", 5, 5, 20, 20))
    export.write()


def moved(one: PreparedDataset, other: PreparedDataset) -> dict[str, str]:
    return dict(one.task.labels.compare(one, other).moved)


def listed(dataset: PreparedDataset) -> dict[str, dict[str, Any]]:
    lines = (dataset.root / "assets.jsonl").read_text().splitlines()
    return {entry["id"]: entry for entry in map(json.loads, lines)}


def test_nothing_moves_in_four_steps(export: PicselliaExport, tmp_path: Path) -> None:
    home = tmp_path / "var"
    before = prepare(config(export), home)
    for step in range(4):
        add(export, 12 + 10 * step, 10)
        after = prepare(config(export), home)
        assert moved(before, after) == {}
        before = after
    assert before.split_sizes == {"train": 41, "val": 5, "test": 6}
    assert moved(before, prepare(config(export, split={"keep": "none"}), home))  # All at once is another split.


def test_the_same_state_is_the_same_dataset_whatever_came_between(export: PicselliaExport, tmp_path: Path) -> None:
    home = tmp_path / "var"
    first = prepare(config(export), home)
    add(export, 12, 10)
    grown = prepare(config(export), home)
    shutil.rmtree(home / "datasets")
    assert prepare(config(export), home).fingerprint == grown.fingerprint
    del export.assets[12:]
    export.write()
    for path in (export.folder / "assets").glob("asset-[123][0-9].jpg"):
        if path.stem not in {"asset-10", "asset-11"}:
            path.unlink()
    for asset_id in set(export.annotations) - {asset["id"] for asset in export.assets}:
        del export.annotations[asset_id]
    export.write()
    assert prepare(config(export), home).fingerprint == first.fingerprint


def test_a_prepared_folder_pins_the_split_on_another_machine(export: PicselliaExport, tmp_path: Path) -> None:
    prepare(config(export), tmp_path / "here")
    add(export, 12, 20)
    here = prepare(config(export), tmp_path / "here")
    for keep in (here.root, here.root / "splits.csv"):
        there = prepare(config(export, split={"keep": str(keep)}), tmp_path / f"there-{keep.name}")
        assert there.fingerprint == here.fingerprint
        assert moved(here, there) == {}
    broken = tmp_path / "splits.csv"
    broken.write_text("sha256,split\nx,train\n")
    with pytest.raises(DataError, match="line 2 is no sha256 and split"):
        prepare(config(export, split={"keep": str(broken)}), tmp_path / "other")


def test_a_training_copy_of_a_test_image_is_left_out_by_name(export: PicselliaExport, tmp_path: Path) -> None:
    home = tmp_path / "var"
    add(export, 12, 20)
    before = prepare(config(export), home)
    places = {asset_id: entry["image"].split("/")[1] for asset_id, entry in listed(before).items()}
    test = next(a for a, split in places.items() if split == "test" and listed(before)[a]["boxes"])
    train = next(a for a, split in places.items() if split == "train" and listed(before)[a]["boxes"])
    # A picture that is half of one and half of the other would have to lie between them: the names tell it here.
    together = {"pattern": "^(photo) ", "near_duplicates": -1}
    for asset in export.assets:
        if asset["id"] not in {test, train}:
            asset["data"]["filename"] = f"other {asset['id']}.jpg"
    export.write()
    known = before.root / "splits.csv"
    after = prepare(config(export, split={"keep": str(known)}, keep_together=together), home)
    assert listed(after)[train]["image"] is None
    assert listed(after)[train]["status"] == "alike"
    assert listed(after)[test]["image"] == listed(before)[test]["image"]
    assert moved(before, after) == {}
    assert after.report["left_out_as_alike"] == 1
    assert any(f"{train} as {test}" in warning for warning in after.report["warnings"])
    (images,) = [account for account in after.report["accounts"] if account["kind"] == "images"]
    assert images["found"] == images["used"] + 1


def test_datasets_of_older_versions_are_taken_over_and_stay_readable(
    export: PicselliaExport, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "var"
    add(export, 12, 20)
    old = prepare(config(export, seed=5), home)  # Another split than the one that would be made now.
    shutil.rmtree(home / "splits")
    (old.root / "splits.csv").unlink()
    _forget(old.root / "report.json", "accounts", "left_out_as_alike")
    lines = [json.loads(line) for line in (old.root / "assets.jsonl").read_text().splitlines()]
    (old.root / "assets.jsonl").write_text(
        "".join(f"{json.dumps({key: line[key] for key in line if key != 'phash'})}\n" for line in lines)
    )
    add(export, 32, 10)
    new = prepare(config(export), home)
    assert moved(PreparedDataset.open(old.root), new) == {}
    assert f"images stay in the splits that they have in {old.root.name}" in capsys.readouterr().err
    assert moved(new, prepare(config(export, seed=1), home)) != {}  # From now on a seed counts.


def _forget(path: Path, *keys: str) -> None:
    content = json.loads(path.read_text())
    path.write_text(json.dumps({key: content[key] for key in content if key not in keys}))


def test_an_image_under_another_name_is_the_same_image(export: PicselliaExport, tmp_path: Path) -> None:
    home = tmp_path / "var"
    add(export, 12, 20)
    places = {entry["sha256"]: entry["image"].split("/")[1] for entry in listed(prepare(config(export), home)).values()}
    renamed = PicselliaExport(tmp_path / "again")
    for number in range(32):
        content = (export.folder / "assets" / f"{export.assets[number]['id']}.jpg").read_bytes()
        renamed.add(f"new-{number}", ("cat", 5, 5, 20, 20), content=content)
    for number in range(100, 110):
        renamed.add(f"new-{number}", ("dog", 5, 5, 20, 20), content=encoded(picture(number)))
    renamed.write()
    found = listed(prepare(config(renamed, name="pets"), home))
    assert {e["sha256"]: e["image"].split("/")[1] for e in found.values() if e["sha256"] in places} == places
