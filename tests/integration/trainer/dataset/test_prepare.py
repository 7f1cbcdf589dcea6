"""The way from a source to a folder, on small datasets made here."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

from fakes.exports import PicselliaExport, coco_file, encoded, picture, senseless, turned, twelve, yolo_folder
from handful_core.errors import ConfigError, DataError, HandfulError, NotFoundError, ResourceError
from handful_trainer.dataset.preparation import link
from handful_trainer.dataset.preparation.link import FileLinker
from handful_trainer.dataset.preparation.prepare import prepare
from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.dataset.settings import DatasetConfig

CLASSES = ("cat", "dog")


@pytest.fixture
def export(tmp_path: Path) -> PicselliaExport:
    return twelve(tmp_path / "pets")


@pytest.fixture
def house(tmp_path: Path) -> Path:
    return tmp_path / "var"


def config(export: PicselliaExport, **settings: Any) -> DatasetConfig:
    return DatasetConfig.model_validate(
        {"source": "picsellia-export", "path": export.folder, "classes": CLASSES, **settings}
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def accounted(dataset: PreparedDataset) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (dataset.root / "assets.jsonl").read_text().splitlines()]


def test_a_folder_named_by_its_fingerprint(export: PicselliaExport, house: Path) -> None:
    dataset = prepare(config(export), house)
    assert dataset.root == (house / "datasets" / f"pets-{dataset.fingerprint[:12]}").resolve()
    assert dataset.split_sizes == {split: len(list(dataset.split(split))) for split in ("train", "val", "test")}
    assert sum(dataset.split_sizes.values()) == 12
    assert min(dataset.split_sizes.values()) >= 1
    for path, (boxes, ids) in dataset.split("train"):
        number = int(path.stem.removeprefix("asset-"))
        cat, dog = [4 + number, 5, 24 + number, 23], [30, 10 + number, 46, 30 + number]
        truth = [[cat], [dog], [cat, dog], []][number % 4]
        assert boxes == pytest.approx(np.array(truth, np.float32).reshape(-1, 4), abs=1e-4)
        assert boxes.dtype == np.float32
        assert [CLASSES[i] for i in ids] == [["cat"], ["dog"], ["cat", "dog"], []][number % 4]


def test_the_same_input_gives_the_same_bytes(export: PicselliaExport, tmp_path: Path) -> None:
    first = prepare(config(export), tmp_path / "a")
    moved = shutil.copytree(export.folder, tmp_path / "moved" / "pets")
    again = prepare(config(export, path=moved), tmp_path / "b", tmp_path / "output")
    assert contents(first.root) == contents(again.root)
    assert first.fingerprint == again.fingerprint


@pytest.mark.parametrize(
    "settings", [{"seed": 1}, {"split": {"train": 0.5, "val": 0.25, "test": 0.25}}, {"counts": {"cat": 1}}]
)
def test_other_settings_give_another_fingerprint(
    export: PicselliaExport, house: Path, settings: dict[str, Any]
) -> None:
    assert prepare(config(export), house).fingerprint != prepare(config(export, **settings), house).fingerprint


def test_what_was_not_decoded_is_said_plainly(export: PicselliaExport, house: Path) -> None:
    (export.folder / "assets" / "asset-03.jpg").write_bytes(senseless(3))
    trusting = {"check": "structure", "keep_together": {"near_duplicates": -1}}
    dataset = prepare(config(export, **trusting), house)
    assert (dataset.report["usable_images"], dataset.report["not_decoded"]) == (12, 12)
    assert dataset.report["warnings"][0].startswith("12 images were not decoded (check: structure): garbled")
    page = (dataset.root / "report.html").read_text()
    for words in ("images not decoded, only their structure looked at", "not looked for", "its pixels make no sense"):
        assert words in page
    looked_at = prepare(config(export, keep_together={"near_duplicates": -1}), house)
    assert (looked_at.report["undecodable_kinds"]["garbled"], looked_at.report["not_decoded"]) == (1, 0)
    assert looked_at.fingerprint != dataset.fingerprint


def test_a_second_run_takes_up_what_is_there(
    export: PicselliaExport, house: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = prepare(config(export), house)
    with monkeypatch.context() as patched:
        patched.setattr("handful_trainer.dataset.inspection.inspect.inspect_images", _must_not_be_called)
        assert prepare(config(export), house) == first


def test_a_file_that_changed_is_looked_at_again(export: PicselliaExport, house: Path) -> None:
    first = prepare(config(export), house)
    path = export.folder / "assets" / "asset-00.jpg"
    content = path.read_bytes()
    path.unlink()  # As tools do that replace files; the prepared link keeps the old one.
    path.write_bytes(encoded(picture(99)))
    assert prepare(config(export), house).fingerprint != first.fingerprint
    path.unlink()
    path.write_bytes(content)
    os.utime(path, ns=(1, 1))
    assert prepare(config(export), house) == first


def test_a_dataset_that_was_removed_is_made_again(export: PicselliaExport, house: Path) -> None:
    first = prepare(config(export), house)
    shutil.rmtree(first.root)
    assert prepare(config(export), house) == first
    assert (first.root / "report.html").is_file()


def _spoil(path: Path) -> None:
    path.write_text("{")


@pytest.mark.parametrize("named", [False, True], ids=["by fingerprint", "output"])
@pytest.mark.parametrize(
    ("files", "spoil"),
    [
        ("images/train/asset-0*.jpg", Path.unlink),
        ("labels/test/*.txt", Path.unlink),
        ("images/val", shutil.rmtree),
        ("report.json", _spoil),
    ],
)
def test_a_dataset_that_lost_files_is_made_again(
    export: PicselliaExport, house: Path, tmp_path: Path, files: str, spoil: Callable[[Path], None], named: bool
) -> None:
    output = tmp_path / "output" if named else None
    first = prepare(config(export), house, output)
    before = contents(first.root)
    for path in list(first.root.glob(files)):
        spoil(path)
    if named and files in {"report.json", "images/val"}:  # It may be anybody's.
        with pytest.raises(ConfigError, match="is no prepared dataset, or a damaged one"):
            prepare(config(export), house, output)
        return
    assert prepare(config(export), house, output) == first
    assert contents(first.root) == before


def test_links_that_lead_nowhere_are_made_again(
    export: PicselliaExport, house: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "handful_trainer.dataset.preparation.link.FileLinker.__init__", _link_by_name
    )  # The source is on another disk.
    first = prepare(config(export), house)
    moved = shutil.move(export.folder, tmp_path / "elsewhere" / "pets")
    assert not first.is_whole()
    again = prepare(config(export, path=moved), house)
    assert (again, again.is_whole()) == (first, True)
    (again.root / "images" / "train" / "asset.npy").touch()  # Ultralytics may leave it there.
    assert again.is_whole()


def _link_by_name(linker: FileLinker) -> None:
    linker._ways = (link._symlink,)


def test_every_asset_is_accounted_for(export: PicselliaExport, house: Path) -> None:
    export.add("broken", ("cat", 1, 1, 9, 9), content=b"")
    export.add("waiting", ("cat", 1, 1, 9, 9), status="PENDING")
    export.add("both", ("cat", 1, 1, 9, 9), status="REFUSED", content=b"nothing")
    export.assets.append({"id": "lost"})
    dataset = prepare(config(export, path=export.write()), house)
    report = dataset.report
    assert report["undecodable_kinds"] | {"empty": 1, "noise": 1, "missing": 1} == report["undecodable_kinds"]
    assert report["not_accepted"] == {"pending": 1, "refused": 0, "skipped": 0, "none": 0}
    assert report["assets"] == report["undecodable"] + sum(report["not_accepted"].values()) + report["usable_images"]
    status = Counter(entry["status"] for entry in accounted(dataset))
    assert status == {"usable": 12, "empty": 1, "noise": 1, "missing": 1, "pending": 1}
    assert {entry["asset"] for entry in report["defects"]} == {"broken", "both", "lost"}


def test_identical_images_stay_on_one_side(export: PicselliaExport, house: Path) -> None:
    for number in range(12):
        export.add(f"twin-{number:02d}", ("cat", 1, 1, 9, 9), content=encoded(picture(number)))
    dataset = prepare(config(export, path=export.write()), house)
    side = {entry["id"]: Path(entry["image"]).parts[1] for entry in accounted(dataset)}
    assert all(side[f"asset-{n:02d}"] == side[f"twin-{n:02d}"] for n in range(12))
    assert set(side.values()) == {"train", "val", "test"}
    assert dataset.report["identical_image_pairs"] == 12
    assert any("identical images carry different boxes (" in warning for warning in dataset.report["warnings"])


def test_turned_photos_are_written_upright(export: PicselliaExport, house: Path) -> None:
    export.add("turned", ("cat", 4, 6, 10, 20), content=turned(40, 6))
    dataset = prepare(config(export, path=export.write()), house)
    found = {p.stem: boxes for split in dataset.split_sizes for p, (boxes, _) in dataset.split(split)}
    assert found["turned"] == pytest.approx(np.array([[4, 6, 14, 26]]), abs=1e-3)
    assert dataset.report["exif_rotated"] == 1


def test_unknown_labels_are_refused_with_the_nearest_class(export: PicselliaExport, house: Path) -> None:
    export.add("odd", ("catt", 1, 1, 9, 9), ("cow", 1, 1, 9, 9), ("catt", 2, 1, 9, 9))
    with pytest.raises(DataError, match=r"'catt' is not one .* \(2 boxes, in assets odd; 1 more.*did you mean 'cat'"):
        prepare(config(export, path=export.write()), house)
    dataset = prepare(config(export, unknown_labels="drop"), house)
    assert dataset.report["unknown_labels"] == {"catt": 2, "cow": 1}
    assert dataset.report["boxes_dropped"]["unknown_label"] == 3
    assert any("lost all their boxes" in warning for warning in dataset.report["warnings"])


def test_boxes_that_reach_outside_and_classes_that_look_alike_are_warnings(
    export: PicselliaExport, house: Path
) -> None:
    for number in range(20):
        export.add(f"odd-{number}", ("Cat", 30, 20, 60, 50))
    found = config(export, path=export.write(), classes=["cat", "Cat"], unknown_labels="drop")
    warnings = prepare(found, house).report["warnings"]
    assert any("boxes reach outside their images and are cut" in line for line in warnings)
    assert any(line.startswith("the classes 'cat' and 'Cat' look alike") for line in warnings)


def test_folders_that_look_like_splits_are_a_warning(tmp_path: Path, house: Path) -> None:
    box = "0 0.5 0.5 0.25 0.5\n"
    folder = yolo_folder(tmp_path / "set", {f"{of}_images/{n}.jpg": box for of in ("train", "val") for n in range(4)})
    (folder / "data.yaml").unlink()
    (folder / "classes.txt").write_text("cat\n")
    found = DatasetConfig(source="yolo", path=folder)
    line = "the folders train_images, val_images look like splits and are not read as such"
    assert any(warning.startswith(line) for warning in prepare(found, house).report["warnings"])


def test_a_class_that_nothing_shows_is_a_warning(export: PicselliaExport, house: Path, capsys) -> None:
    dataset = prepare(config(export, classes=("cat", "dog", "cow")), house)
    assert "no image shows cow: the model cannot learn it" in dataset.report["warnings"]
    assert "no image shows cow" in capsys.readouterr().err
    assert dataset.report["boxes_per_class"]["cow"] == 0


def test_imbalance_tiny_boxes_and_leaks_are_told(tmp_path: Path, house: Path) -> None:
    export = PicselliaExport(tmp_path / "odd")
    for number in range(30):
        export.add(f"a-{number:02d}", ("cat", 4, 5, 20, 18), content=encoded(picture(number)))
    export.add("one-dog", ("dog", 4, 5, 7, 18), content=encoded(picture(99)))
    report = prepare(config(export, path=export.write()), house).report
    warnings = "\n".join(report["warnings"])
    assert "the classes are out of balance: cat has 30 boxes, dog 1; label more of them" in warnings
    assert "1 boxes are smaller than 8 pixels on one side" in warnings
    assert report["tiny_boxes"] == 1
    assert report["pairs_across_splits"] == 0
    film = PicselliaExport(tmp_path / "film")
    for number in range(12):
        film.add(f"frame-{number}", ("cat", 4, 5, 20, 18), content=encoded(picture(1), quality=60 + number))
    dataset = prepare(config(film, path=film.write()), house)
    assert dataset.report["pairs_across_splits"] > 0
    assert dataset.report["across_splits"]
    assert any("pairs of images that are alike lie in different splits" in w for w in dataset.report["warnings"])
    assert dataset.report["near_duplicates"]["images"] == 12
    assert "Images that look alike" in (dataset.root / "report.html").read_text()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"classes": ("cow", "hen"), "unknown_labels": "drop"},
            r"none of the 12 boxes can be used: 12 of an unknown class \(asset-00, .* check dataset\.classes",
        ),
        ({"classes": ()}, r"no list of classes.*set it; the labels found are cat, dog"),
    ],
)
def test_a_dataset_without_the_classes_is_refused(
    export: PicselliaExport, house: Path, settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(DataError, match=words):
        prepare(config(export, **settings), house)
    assert not list((house / "datasets").glob("*"))


def test_an_empty_dataset_is_refused(tmp_path: Path, house: Path) -> None:
    export = PicselliaExport(tmp_path / "none")
    with pytest.raises(DataError, match="the dataset has no images"):
        prepare(config(export, path=export.write()), house)
    export.add("a", ("cat", 1, 1, 9, 9), content=b"")
    export.add("b", ("cat", 1, 1, 9, 9), status="SKIPPED")
    with pytest.raises(DataError, match=r"none of the 2 images can be used: 1 empty \(a\); 1 skipped \(b\)"):
        prepare(config(export, path=export.write()), house)
    export.add("c", ("cat", 1, 1, 9, 9), content=encoded(picture(1)))
    export.add("d", ("cat", 1, 1, 9, 9), content=encoded(picture(1)))
    with pytest.raises(DataError, match="1 different images can be used"):
        prepare(config(export, path=export.write()), house)


def test_the_output_folder_is_never_overwritten(export: PicselliaExport, house: Path, tmp_path: Path) -> None:
    output = tmp_path / "output"
    output.mkdir()
    first = prepare(config(export), house, output)
    assert first.root == output.resolve()
    assert prepare(config(export), house, output) == first
    with pytest.raises(ConfigError, match="made from other images or settings"):
        prepare(config(export, seed=9), house, output)
    with pytest.raises(ConfigError, match="is no prepared dataset"):
        prepare(config(export), house, tmp_path)


def test_a_disk_that_fills_up_leaves_nothing(
    export: PicselliaExport, house: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("handful_trainer.dataset.preparation.link.FileLinker.place", full)
    with pytest.raises(OSError, match="No space left"):
        prepare(config(export), house)
    assert list((house / "datasets").iterdir()) == []


def test_too_small_a_disk_is_told_before(export: PicselliaExport, house: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 10**6))
    with pytest.raises(ResourceError, match=r"needs 34 MB on the disk of .*, 1 MB are free"):
        prepare(config(export), house)
    assert list((house / "datasets").iterdir()) == []


def test_a_killed_run_leaves_nothing_half_made(tmp_path: Path, house: Path) -> None:
    export = PicselliaExport(tmp_path / "many")
    content = [encoded(picture(number)) for number in range(600)]
    for number in range(600):
        export.add(f"asset-{number:03d}", ("cat", 4, 5, 20, 18), content=content[number])
    settings = config(export, path=export.write(), classes=("cat",))
    words = (
        "import time; from pathlib import Path\n"
        "from handful_trainer.dataset.preparation.link import FileLinker\n"
        "from handful_trainer.dataset.preparation.prepare import prepare\n"
        "from handful_trainer.dataset.settings import DatasetConfig\n"
        "place = FileLinker.place\n"
        "FileLinker.place = lambda *a: (time.sleep(0.01), place(*a))\n"
        f"prepare(DatasetConfig.model_validate_json({settings.model_dump_json()!r}), Path({str(house)!r}))"
    )
    with subprocess.Popen([sys.executable, "-c", words]) as process:
        deadline = time.monotonic() + 60
        while not list(house.glob("datasets/.unfinished-*/images/train/*")) and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    (unfinished,) = (house / "datasets").iterdir()
    assert unfinished.name.startswith(".unfinished-")
    assert not (unfinished / "data.yaml").exists()
    os.utime(unfinished, (1, 1))
    dataset = prepare(settings, house)
    assert sum(dataset.split_sizes.values()) == 600
    assert not unfinished.exists()


def test_own_splits_are_kept_and_the_missing_one_is_taken_from_train(tmp_path: Path, house: Path) -> None:
    images = {f"train/{n}.jpg": "0 0.5 0.5 0.25 0.5\n" for n in range(20)} | {"valid/v.png": "1 0.5 0.5 0.5 0.5\n"}
    folder = yolo_folder(tmp_path / "y", images)
    (folder / "data.yaml").write_text("names: [cat, dog]\ntrain: images/train\nvalid: images/valid\n")
    dataset = prepare(DatasetConfig(source="yolo", path=folder), house)
    assert dataset.split_sizes == {"train": 18, "val": 1, "test": 2}
    assert [path.name for path in dataset.images("val")] == ["valid_v.png"]


def test_an_image_on_two_sides_of_the_source_comes_to_one(tmp_path: Path, house: Path) -> None:
    box = "0 0.5 0.5 0.25 0.5\n"
    folder = yolo_folder(tmp_path / "y", {f"{s}/{n}.jpg": box for s in ("train", "val", "test") for n in range(3)})
    shutil.copy(folder / "images/test/1.jpg", folder / "images/train/copy.jpg")
    dataset = prepare(DatasetConfig(source="yolo", path=folder), house)
    assert {path.stem for path in dataset.images("test")} == {"test_0", "test_1", "test_2", "train_copy"}
    assert any("more than one split" in warning for warning in dataset.report["warnings"])


def test_what_was_written_is_read_back_to_the_pixel(export: PicselliaExport, house: Path, tmp_path: Path) -> None:
    first = prepare(config(export), house)
    again = prepare(DatasetConfig(source="yolo", path=first.root, name="again"), house)
    assert (again.classes, again.split_sizes) == (first.classes, first.split_sizes)
    for split in first.split_sizes:
        for (path, (boxes, ids)), (other, (same, also)) in zip(first.split(split), again.split(split), strict=True):
            assert other.name == f"{split}_{path.name}"
            assert same == pytest.approx(boxes, abs=0.01)
            assert ids.tolist() == also.tolist()


def test_coco_gives_the_same_boxes_as_picsellia(export: PicselliaExport, house: Path) -> None:
    boxes = {
        f"{asset_id}.jpg": [(r["label"], r["x"], r["y"], r["w"], r["h"]) for r in found[0]["rectangles"]]
        for asset_id, found in export.annotations.items()
    }
    coco_file(export.folder / "coco.json", boxes)
    path, images = export.folder / "coco.json", export.folder / "assets"
    ours = prepare(config(export), house)
    theirs = prepare(DatasetConfig(source="coco", path=path, images=images), house)
    for split in ours.split_sizes:
        for mine, other in zip(ours.split(split), theirs.split(split), strict=True):
            assert mine[0].name == other[0].name
            assert np.array_equal(mine[1][0], other[1][0])


def test_drawn_hands_are_prepared_like_anything_else(house: Path) -> None:
    settings = DatasetConfig.model_validate({"source": "sample", "sample": {"images": 40, "size": 64}})
    dataset = prepare(settings, house)
    assert dataset.name == "drawn-hands"
    assert sum(dataset.split_sizes.values()) == 40
    assert dataset.counts == {str(n): n for n in range(6)}
    assert all(path.name.startswith("drawn-") for path in dataset.images("test"))
    assert "drawn by a program" in (dataset.root / "report.html").read_text()
    assert prepare(settings, house) == dataset


def test_foreign_datasets_can_be_opened(tmp_path: Path) -> None:
    folder = yolo_folder(tmp_path / "theirs", {"train/a.jpg": "1 0.5 0.5 0.25 0.5\n", "val/b.png": None})
    for path in (folder, folder / "data.yaml"):
        dataset = PreparedDataset.open(path)
        assert (dataset.name, dataset.fingerprint, dataset.classes) == ("theirs", "unknown", ("cat", "dog"))
        assert dataset.split_sizes == {"train": 1, "val": 1}
        ((image, (boxes, ids)),) = dataset.split("train")
        assert image == folder / "images" / "train" / "a.jpg"
        assert (boxes.tolist(), ids.tolist()) == ([[24, 12, 40, 36]], [1])
        with pytest.raises(NotFoundError, match=r"no split 'test': it has train, val"):
            dataset.split("test")


def test_a_damaged_dataset_is_named(export: PicselliaExport, house: Path) -> None:
    dataset = prepare(config(export), house)
    (dataset.root / "report.json").write_text("{")
    with pytest.raises(DataError, match=r"report\.json is not valid JSON"):
        PreparedDataset.open(dataset.root)


def test_names_from_outside_cannot_change_the_page(export: PicselliaExport, house: Path) -> None:
    export.add("evil", ("<script>alert(1)</script>", 1, 1, 9, 9))
    export.assets[-1]["data"]["filename"] = '"><img src=x onerror=alert(2)>\ud800'
    dataset = prepare(config(export, path=export.write(), unknown_labels="drop"), house)
    page = (dataset.root / "report.html").read_text()
    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;script&gt;" in page
    assert "http://" not in page
    assert "https://" not in page


def _must_not_be_called(*_: object) -> NoReturn:
    raise HandfulError("the images were read again")
