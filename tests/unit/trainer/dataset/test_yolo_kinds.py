"""YOLO folders as other tools and people make them: the right boxes, or a line that says what is wrong."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from fakes.exports import yolo_folder
from handful_core.errors import DataError
from handful_trainer.dataset.accounts import count_left_out
from handful_trainer.dataset.preparation.index import state_of
from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.dataset.sources.base import RawBox, RawDataset
from handful_trainer.dataset.sources.registry import open_source

BOX = "0 0.5 0.5 0.25 0.5\n"
CAT = RawBox("cat", 0.375, 0.25, 0.25, 0.5)
FOUR = {f"{number}.jpg": BOX for number in range(4)}


def read(path: Path, **settings: Any) -> RawDataset:
    config = DatasetConfig.model_validate({"source": "yolo", "path": path, **settings})
    return open_source(config, path).read()


def boxes(found: RawDataset) -> list[RawBox]:
    return [box for item in found.items for box in item.boxes]


def left_out(found: RawDataset) -> dict[str, dict[str, int]]:
    return {
        account.kind: {reason: entry.number for reason, entry in account.left_out.items()}
        for account in found.accounts
        if account.left_out
    }


def rewrite(folder: Path, content: str) -> Path:
    (folder / "data.yaml").write_text(content)
    return folder


def test_a_pose_is_the_box_before_its_key_points(tmp_path: Path) -> None:
    points = " 0.4 0.3 2 0.6 0.7 1"
    folder = yolo_folder(tmp_path, {name: BOX.strip() + points for name in FOUR}, kpt_shape=[2, 3])
    assert boxes(read(folder)) == [CAT] * 4
    (folder / "labels/0.txt").write_text(BOX)  # An object of which nobody marked the points.
    assert boxes(read(folder)) == [CAT] * 4
    (folder / "labels/0.txt").write_text(BOX.strip() + " 0.4 0.3 2")
    with pytest.raises(DataError, match=r"0\.txt, line 1 holds 8 numbers: with data\.yaml's kpt_shape it has 5 or 11"):
        read(folder)


@pytest.mark.parametrize("more", [" 0.9 7", " 0.4 0.3 0.6 0.7 0.2 0.9", " 0.9 0.8", " 0.45 0.3 0.55 0.7"])
def test_a_line_that_may_be_a_box_or_an_outline_is_refused_until_somebody_says_what_it_is(
    tmp_path: Path, more: str
) -> None:
    folder = yolo_folder(tmp_path, {name: BOX.strip() + more for name in FOUR})
    with pytest.raises(DataError, match=r"as all 4 longer lines may.*dataset\.label_rows"):
        read(folder)
    assert boxes(read(folder, label_rows="boxes")) == [CAT] * 4
    assert {box.shape for box in boxes(read(folder, label_rows="outlines"))} == {"polygon"}


def test_a_confidence_behind_a_box_is_refused_or_passed_over(tmp_path: Path) -> None:
    folder = yolo_folder(tmp_path, {name: BOX.strip() + " 0.9" for name in FOUR})
    with pytest.raises(DataError, match=r"holds 6 numbers.*dataset\.label_rows"):
        read(folder)
    assert boxes(read(folder, label_rows="boxes")) == [CAT] * 4


@pytest.mark.parametrize(
    "rows",
    [
        ["0 0.1 0.1 0.5 0.1 0.3 0.5", "0 0.1 0.1 0.5 0.1 0.3 0.5 0.2 0.6"],  # Of two lengths.
        ["0 0.1 0.1 0.5 0.1 0.5 0.5 0.1 0.5"] * 2,  # Four corners: a turned box.
        ["0 0.1 0.1 0.5 0.1 0.3 0.5"] * 2,  # Three corners that make no box: half of it would lie outside.
    ],
)
def test_outlines_become_the_box_around_them(tmp_path: Path, rows: list[str]) -> None:
    folder = yolo_folder(tmp_path, {"a.jpg": f"{rows[0]}\n{rows[1]}"})
    found = boxes(read(folder))[0]
    assert (found.label, found.shape) == ("cat", "polygon")
    assert tuple(found[1:5]) == pytest.approx((0.1, 0.1, 0.4, 0.4))


@pytest.mark.parametrize(("values", "unit"), [("0 320 240 16 12", "pixels"), ("0 50 50 25 25", "per cent")])
def test_numbers_that_are_no_shares_are_called_so(tmp_path: Path, values: str, unit: str) -> None:
    folder = yolo_folder(tmp_path, dict.fromkeys(FOUR, values) | {"4.jpg": BOX})
    with pytest.raises(DataError, match=rf"4 of 5 label lines are in {unit} .*not in shares"):
        read(folder)


def test_a_few_numbers_that_are_no_shares_are_left_out_and_named(tmp_path: Path) -> None:
    found = read(yolo_folder(tmp_path, FOUR | {"4.jpg": "0 320 240 16 12"}))
    assert boxes(found) == [CAT] * 4
    assert left_out(found) == {"label lines": {"that are no shares of the image": 1}}
    (warning,) = [w for account in found.accounts for w in account.warnings()]
    assert "4.txt, line 1" in warning


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("[yes, no, on, off, n, y, null, ~]", ("yes", "no", "on", "off", "n", "y", "null", "~")),
        ("[010, 12:30, 1_000, 1e3, 2001-12-14, 1.50]", ("010", "12:30", "1_000", "1e3", "2001-12-14", "1.50")),
        ("{0: true, 1: False}", ("true", "False")),
        ('{"0": cat, "1": dog}', ("cat", "dog")),
        ("{1: dog, 0: cat}", ("cat", "dog")),
    ],
)
def test_names_are_words_as_they_are_written(tmp_path: Path, names: str, expected: tuple[str, ...]) -> None:
    folder = rewrite(yolo_folder(tmp_path, FOUR), f"train: images\nnames: {names}\n")
    assert read(folder).classes == expected


def test_quoted_keys_are_keys(tmp_path: Path) -> None:
    folder = rewrite(yolo_folder(tmp_path, FOUR), '"names": ["cat"]\n"train": "images"\n')
    assert boxes(read(folder)) == [CAT] * 4


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("train: images\nnames: [a, b, a]\n", "names the class a 2 times"),
        ("train: images\nnames: {0: a, 2: b}\n", "number 1 is missing"),
        ("train: images\nnames: {0: a, 0: b}\n", "the key 0 is there twice"),
        ("train: images\nnames: {0: a, x: b}\n", "keys that are not numbers"),
        ("train: images\nnames: [a, '']\n", "no list of class names"),
        ("train: images\nnames: [a, [b]]\n", "no list of class names"),
        ("train: images\nnames: [a]\nnc: 3\n", "names 1 classes and says that there are 3"),
        ("train: images\nnames: [a]\nkpt_shape: 17\n", "a kpt_shape that is not a pair of numbers"),
        ("training: images\nnames: [a]\n", "names no images; training are no names of splits"),
    ],
)
def test_a_data_yaml_that_contradicts_itself_is_refused(tmp_path: Path, content: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        read(rewrite(yolo_folder(tmp_path, FOUR), content))


@pytest.mark.parametrize(
    "line",
    ["images/{}", "./images/{}", "images\\{}", "data/images/{}", "/home/ann/set/images/{}", "C:\\set\\images\\{}"],
)
def test_lists_are_resolved(tmp_path: Path, line: str) -> None:
    folder = yolo_folder(tmp_path, FOUR, train="train.txt")
    (folder / "train.txt").write_text("".join(f"{line.format(name)}\r\n" for name in FOUR))
    assert boxes(read(folder)) == [CAT] * 4


def test_lists_are_resolved_against_path_too(tmp_path: Path) -> None:
    folder = yolo_folder(tmp_path / "set", FOUR, train="lists/train.txt", path=".")
    (folder / "lists").mkdir()
    (folder / "lists/train.txt").write_text("".join(f"images/{name}\n" for name in FOUR))
    assert boxes(read(folder)) == [CAT] * 4


def test_lines_that_lead_nowhere_are_named_and_a_list_of_them_is_refused(tmp_path: Path) -> None:
    folder = yolo_folder(tmp_path, FOUR, train="train.txt")
    (folder / "train.txt").write_text("images/0.jpg\nimages/0.jpg\nimages/9.jpg\ndata.yaml\n")
    found = read(folder)
    assert [item.name for item in found.items] == ["0.jpg"]
    assert left_out(found)["list lines"] == {"given twice": 1, "that lead nowhere": 1, "that name no image": 1}
    (folder / "train.txt").write_text("photos/0.jpg\nphotos/1.jpg\n")
    with pytest.raises(DataError, match=r"none of the 2 lines of .*train\.txt leads to an image: 'photos/0\.jpg'"):
        read(folder)


@pytest.mark.parametrize(
    "place", ["labels/{}.txt", "Labels/{}.txt", "images/{}.txt", "labels/{}.TXT", "labels/{}.jpg.txt"]
)
def test_labels_are_found(tmp_path: Path, place: str) -> None:
    folder = yolo_folder(tmp_path, dict.fromkeys(FOUR, None))
    for name in FOUR:
        path = folder / place.format(Path(name).stem)
        path.parent.mkdir(exist_ok=True)
        path.write_text(BOX)
    found = read(folder)
    assert boxes(found) == [CAT] * 4
    assert left_out(found) == {}


def test_images_in_capitals_have_labels_too(tmp_path: Path) -> None:
    folder = yolo_folder(tmp_path, FOUR)
    (folder / "images").rename(folder / "Images")
    (folder / "labels").rename(folder / "Labels")
    assert boxes(read(rewrite(folder, "train: Images\nnames: [cat]\n"))) == [CAT] * 4


def test_label_files_without_an_image_are_named(tmp_path: Path) -> None:
    folder = yolo_folder(tmp_path, FOUR)
    (folder / "labels/old").mkdir()
    for name in ("labels/9.txt", "labels/old/8.txt"):
        (folder / name).write_text(BOX)
    for name in ("labels/classes.txt", "labels/README.txt", "images/Notes.txt"):
        (folder / name).write_text("cat\n")
    found = read(folder)
    assert left_out(found) == {"label files": {"without an image": 2}}


def test_no_label_file_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none of the 4 images has a label file: that of .*0\.jpg would be .*0\.txt"):
        read(yolo_folder(tmp_path, dict.fromkeys(FOUR, None)))


def test_what_systems_leave_is_no_data(tmp_path: Path) -> None:
    folder = yolo_folder(tmp_path, FOUR)
    copies = ["._0", ".ipynb_checkpoints/0-checkpoint", "__MACOSX/0", "@eaDir/0.jpg/SYNO", "0.png/.hidden"]
    for name in copies:
        for kind, suffix in (("images", ".jpg"), ("labels", ".txt")):
            path = folder / kind / f"{name}{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(folder / kind / f"0{suffix}", path)
    found = read(folder)
    assert boxes(found) == [CAT] * 4
    assert left_out(found) == {"image files": {"left by the system": 5}, "label files": {"left by the system": 5}}


def test_images_that_no_split_names_are_told(tmp_path: Path) -> None:
    folder = yolo_folder(tmp_path, {"train/a.jpg": BOX, "val/b.jpg": BOX, "extra/c.jpg": BOX})
    found = read(rewrite(folder, "train: images/train\nval: images/val\nnames: [cat]\n"))
    assert left_out(found) == {"image files": {"named by no split": 1}, "label files": {"without an image": 1}}
    found = read(rewrite(folder, "train: images/train\nval: images/val\neval: images/extra\nnames: [cat]\n"))
    assert count_left_out(found.accounts, "splits", "of an unknown name") == 1


@pytest.mark.parametrize("listed", ["classes.txt", "labels/classes.txt", "obj.names", "labels/train/classes.txt"])
def test_an_export_without_a_data_yaml_has_its_classes_in_a_list(tmp_path: Path, listed: str) -> None:
    folder = yolo_folder(tmp_path, {"train/a.jpg": BOX, "Valid/b.jpg": BOX})
    (folder / "data.yaml").unlink()
    (folder / listed).write_text("cat\ndog\n")
    found = read(folder)
    assert found.classes == ("cat", "dog")
    assert [(item.name, item.split) for item in found.items] == [("b.jpg", "val"), ("a.jpg", "train")]
    assert boxes(found) == [CAT, CAT]


def test_an_export_without_a_data_yaml_takes_the_classes_of_the_settings(tmp_path: Path) -> None:
    folder = yolo_folder(tmp_path, FOUR)
    (folder / "data.yaml").unlink()
    with pytest.raises(DataError, match=r"has no data\.yaml, nor a classes\.txt.*dataset\.classes"):
        read(folder)
    assert boxes(read(folder, classes=("cat",))) == [CAT] * 4


def test_lists_called_like_splits_say_them_without_a_data_yaml(tmp_path: Path) -> None:
    folder = yolo_folder(tmp_path, FOUR)
    (folder / "data.yaml").unlink()
    (folder / "classes.txt").write_text("cat\ndog\n")
    (folder / "train.txt").write_text("".join(f"images/{number}.jpg\n" for number in range(2)))
    (folder / "val.txt").write_text("./images/2.jpg\n")
    found = read(folder)
    assert {item.name: item.split for item in found.items} == {"0.jpg": "train", "1.jpg": "train", "2.jpg": "val"}
    assert left_out(found) == {"image files": {"named by no split": 1}, "label files": {"without an image": 1}}


def test_lists_that_data_yaml_does_not_name_are_a_warning(tmp_path: Path) -> None:
    folder = yolo_folder(tmp_path, FOUR)
    (folder / "train.txt").write_text("images/0.jpg\n")
    (folder / "val.txt").write_text("images/1.jpg\n")
    assert read(folder).warnings == (
        "train.txt, val.txt list images, and data.yaml does not name them: name them there if they are the splits",
    )


def test_lists_of_classes_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    folder = yolo_folder(tmp_path, {"train/a.jpg": BOX, "val/b.jpg": BOX})
    for split, names in (("train", "cat\ndog\n"), ("val", "dog\ncat\n")):
        (folder / "labels" / split / "classes.txt").write_text(names)
    assert read(folder).warnings == (
        "labels/val/classes.txt lists other classes than data.yaml, which counts: see whether it is right",
    )
    (folder / "data.yaml").unlink()
    with pytest.raises(DataError, match="list other classes, or in another order: remove the wrong one"):
        read(folder)
    (folder / "labels/val/classes.txt").write_text("cat\n")
    assert read(folder).classes == ("cat", "dog"), "LabelImg's list grows from folder to folder"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"cat\n\ndog\n", "line 2 is blank: the numbers of the classes behind it are not clear"),
        ("cat\ncaf\u00e9\n".encode("cp1252"), "is not UTF-8 text: save it as UTF-8"),
        ("cat\ndog\n".encode("utf-16"), "is not UTF-8 text"),
    ],
)
def test_a_list_of_classes_that_cannot_be_counted_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    folder = yolo_folder(tmp_path, FOUR)
    (folder / "data.yaml").unlink()
    (folder / "classes.txt").write_bytes(content)
    with pytest.raises(DataError, match=words):
        read(folder)


def test_a_list_of_classes_beside_a_data_yaml_never_stops_it(tmp_path: Path) -> None:
    folder = yolo_folder(tmp_path, FOUR)
    (folder / "classes.txt").write_bytes(b"caf\xe9\n")
    found = read(folder)
    assert boxes(found) == [CAT] * 4
    assert found.warnings[0].startswith("classes.txt lists other classes than data.yaml")
    (folder / "classes.txt").write_text("cat\n")
    assert read(folder).warnings == ()


def test_darknets_folder_as_cvat_writes_it(tmp_path: Path) -> None:
    folder = yolo_folder(tmp_path, {})
    (folder / "data.yaml").unlink()
    (folder / "obj_train_data").mkdir()
    made = yolo_folder(tmp_path / "made", FOUR)
    for name in FOUR:
        shutil.copy(made / "images" / name, folder / "obj_train_data")
        shutil.copy((made / "labels" / name).with_suffix(".txt"), folder / "obj_train_data")
    shutil.rmtree(made)
    (folder / "obj.data").write_text("classes = 2\ntrain = data/train.txt\nnames = data/obj.names\nbackup = backup/\n")
    (folder / "obj.names").write_text("cat\ndog\n")
    (folder / "train.txt").write_text("".join(f"data/obj_train_data/{name}\n" for name in FOUR))
    found = read(folder)
    assert found.classes == ("cat", "dog")
    assert boxes(found) == [CAT] * 4
    assert left_out(found) == {}


@pytest.mark.parametrize("name", ["test", "train", "notes", "classes", "readme-photo", "requirements"])
def test_an_image_may_be_called_as_other_texts_are(tmp_path: Path, name: str) -> None:
    found = read(yolo_folder(tmp_path, FOUR | {f"{name}.jpg": BOX}))
    assert boxes(found) == [CAT] * 5
    assert left_out(found) == {}


def test_a_label_file_belongs_to_the_image_of_its_own_name(tmp_path: Path) -> None:
    folder = yolo_folder(tmp_path, FOUR | {"a.jpg": BOX, "A.jpg": None, "b.jpg": None})
    (folder / "labels/B.txt").write_text(BOX)
    found = {item.name: len(item.boxes) for item in read(folder).items}
    assert (found["a.jpg"], found["A.jpg"], found["b.jpg"]) == (1, 0, 1)


def test_accents_may_be_composed_in_one_name_and_not_in_the_other(tmp_path: Path) -> None:
    folder = yolo_folder(tmp_path, FOUR | {"caf\u00e9.jpg": BOX})
    (folder / "images/caf\u00e9.jpg").rename(folder / "images/cafe\u0301.jpg")
    found = read(folder)
    assert boxes(found) == [CAT] * 5
    assert left_out(found) == {}


def test_images_that_share_a_label_file_are_told(tmp_path: Path) -> None:
    found = read(yolo_folder(tmp_path, FOUR | {"a.jpg": BOX, "a.png": BOX}))
    assert found.warnings == (
        "2 images share their label files (a.jpg, a.png): the names differ in their suffixes alone",
    )


def test_labels_count_by_the_folders_own_list_whatever_the_settings_order_is(tmp_path: Path) -> None:
    folder = yolo_folder(tmp_path, FOUR)
    (folder / "data.yaml").unlink()
    (folder / "classes.txt").write_text("cat\ndog\n")
    assert boxes(read(folder, classes=("dog", "cat"))) == [CAT] * 4


@pytest.mark.parametrize("place", ["DATA.YAML", "Data.yml", "set/data.yaml"])
def test_a_data_yaml_in_capitals_or_one_folder_down_is_found(tmp_path: Path, place: str) -> None:
    folder = yolo_folder(tmp_path / "set", FOUR)
    whole = folder if "/" not in place else tmp_path
    if "/" not in place:
        (folder / "data.yaml").rename(folder / place)
    assert boxes(read(whole, classes=("dog", "cat"))) == [CAT] * 4


def test_a_data_yaml_that_is_a_link_is_read_where_the_link_lies(tmp_path: Path) -> None:
    folder = yolo_folder(tmp_path / "set", FOUR)
    (tmp_path / "blobs").mkdir()
    (folder / "data.yaml").rename(tmp_path / "blobs/abc")
    (folder / "data.yaml").symlink_to(tmp_path / "blobs/abc")
    assert boxes(read(folder)) == [CAT] * 4


@pytest.mark.parametrize("nothing", ["", "~", "null"])
def test_a_split_of_nothing_is_none(tmp_path: Path, nothing: str) -> None:
    folder = rewrite(yolo_folder(tmp_path, FOUR), f"train: images\ntest: {nothing}\nnames: [cat]\n")
    assert boxes(read(folder)) == [CAT] * 4


def test_the_datasets_own_images_win_over_those_beside_it(tmp_path: Path) -> None:
    yolo_folder(tmp_path, {"0.jpg": BOX})
    (tmp_path / "images").rename(tmp_path / "train")
    folder = yolo_folder(tmp_path / "set", {"train/a.jpg": BOX}, train="../train/images")
    (folder / "train").mkdir()
    (folder / "images/train").rename(folder / "train/images")
    (folder / "labels/train").rename(folder / "train/labels")
    assert [item.name for item in read(folder).items] == ["a.jpg"]


@pytest.mark.parametrize("key", ["valid", "minival", "extra"])
def test_images_of_keys_that_are_passed_over_are_told(tmp_path: Path, key: str) -> None:
    folder = yolo_folder(tmp_path, {"train/a.jpg": BOX, "val/b.jpg": BOX, "more/c.jpg": BOX})
    content = f"train: images/train\nval: images/val\n{key}: [images/more]\nnames: [cat]\n"
    assert left_out(read(rewrite(folder, content)))["splits"] == {"of an unknown name": 1}


def test_parts_that_nothing_names_are_told(tmp_path: Path) -> None:
    folder = yolo_folder(tmp_path, {"train/a.jpg": BOX, "val/b.jpg": BOX})
    shutil.copytree(folder / "images/train", folder / "batch2/images")
    shutil.copytree(folder / "labels/train", folder / "batch2/labels")
    assert left_out(read(folder)) == {"image files": {"named by no split": 1}, "label files": {"without an image": 1}}
    (folder / "data.yaml").unlink()
    (folder / "odd").mkdir()
    shutil.copy(folder / "images/train/a.jpg", folder / "odd")
    assert left_out(read(folder, classes=("cat",)))["image files"] == {"named by no split": 2}


def test_a_year_behind_a_splits_name_is_none(tmp_path: Path) -> None:
    folder = yolo_folder(tmp_path, {"train2017/a.jpg": BOX, "val2017/b.jpg": BOX})
    (folder / "data.yaml").unlink()
    assert [item.split for item in read(folder, classes=("cat",)).items] == ["train", "val"]


def test_pipes_loops_and_broken_links_end_nothing(tmp_path: Path) -> None:
    folder = yolo_folder(tmp_path, FOUR)
    os.mkfifo(folder / "images/x.jpg")
    os.mkfifo(folder / "labels/x.txt")
    (folder / "images/loop").symlink_to(folder / "images")
    (folder / "images/self.jpg").symlink_to("self.jpg")
    found = read(folder)
    assert [item.name for item in found.items] == ["0.jpg", "1.jpg", "2.jpg", "3.jpg", "self.jpg"]
    assert state_of([folder]).images == 6  # The pipe too: whatever is called so.
    (folder / "labels/self.txt").symlink_to("nowhere.txt")
    with pytest.raises(DataError, match=r"self\.txt cannot be read .*: correct or remove it"):
        read(folder)


def test_accounts_do_not_tell_where_a_dataset_lies(tmp_path: Path) -> None:
    rows = FOUR | {"4.jpg": "0 320 240 16 12", "5.jpg": None}
    made = []
    for place in ("one", "two/deep"):
        folder = yolo_folder(tmp_path / place, rows)
        (folder / "labels/9.txt").write_text(BOX)
        made.append(read(folder).accounts)
    assert [account.as_json() for account in made[0]] == [account.as_json() for account in made[1]]


@pytest.mark.parametrize("changed", ["data.yaml", "images/0.jpg", "labels/0.txt", "names.list"])
def test_whatever_the_result_depends_on_is_looked_at(tmp_path: Path, changed: str) -> None:
    folder = yolo_folder(tmp_path, FOUR)
    if changed == "names.list":
        (folder / "data.yaml").unlink()
        (folder / changed).write_text("cat\n")
        (folder / "obj.data").write_text("train = images\nnames = names.list\n")
    source = open_source(DatasetConfig.model_validate({"source": "yolo", "path": folder}), folder)
    before = state_of(source.roots())
    (folder / changed).write_bytes((folder / changed).read_bytes() + b"\n")
    assert state_of(source.roots()).stamp != before.stamp


def test_long_names_of_any_script_make_ids_that_can_name_a_file(tmp_path: Path) -> None:
    folder = yolo_folder(tmp_path, {f"{'手' * 70}/{'指' * 70}.jpg": BOX, "b.jpg": BOX}, train="images")
    assert all(len(f"{item.id}.jpg".encode()) < 200 for item in read(folder).items)
