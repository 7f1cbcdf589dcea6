"""A classifier judged on folders of all kinds: what was measured, what was not, and what the numbers hide."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from fakes.packages import build_package, encode, filled
from fakes.squares import write_squares
from handful_core.cli.main import build_app
from handful_core.errors import DataError, HandfulError, NotFoundError
from handful_core.package import Package
from handful_core.runtime.model import VisionModel, load_model
from handful_trainer.dataset.preparation.prepare import prepare
from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.dataset.sources.base import captured_id
from handful_trainer.tasks.classification.evaluation import robustness
from handful_trainer.tasks.classification.evaluation.appearance import appearance, border
from handful_trainer.tasks.classification.evaluation.evaluate import Evaluation, evaluate
from handful_trainer.tasks.classification.evaluation.report import mistakes, write_page
from handful_trainer.tasks.classification.evaluation.shortcut import ShortcutCheck, check_shortcut
from handful_trainer.tasks.classification.evaluation.slices import FEWEST, groups_of

FRUIT = ("apple", "pear", "plum")
EXPECTED = {"accuracy", "macro_f1", "weighted_f1", "roc_auc", "ece", "set_coverage", "set_size", "per_class"}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    root = tmp_path_factory.mktemp("package") / "fruit"
    return build_package(root, head="logits", name="fruit", classes=FRUIT, counts={}, limits=True)


@pytest.fixture(scope="module")
def model(package: Package) -> VisionModel:
    return load_model(package, threads=1)


def fruit(root: Path, split: str = "test", images: int = 2, classes: tuple[str, ...] = FRUIT) -> Path:
    """Pictures of one colour each."""
    for name in classes:
        (root / split / name).mkdir(parents=True)
        for number in range(images):
            (root / split / name / f"{number}.png").write_bytes(encode(filled(name, FRUIT)))
    return root


def judged(model: VisionModel, root: Path, split: str = "test") -> Evaluation:
    return evaluate(model, PreparedDataset.open(root, otherwise="classify"), split)


def everything(root: Path) -> dict[str, tuple[str, int]]:
    """All files below a folder, and when they were written."""
    files = [path for path in sorted(root.rglob("*")) if path.is_file()]
    return {str(path): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns) for path in files}


@pytest.mark.parametrize(("folder", "split"), [("test", "test"), ("valid", "val"), ("val", "valid"), ("Test", "test")])
def test_a_plain_folder_is_judged_and_left_as_it_is(tmp_path: Path, package: Package, folder: str, split: str) -> None:
    root = fruit(tmp_path / "fruit", folder)
    (root / "dvc.yaml").write_text("stages: {}\n")
    before = everything(root)
    words = ["evaluate", "--data", str(root), "--package", str(package.root), "--split", split, "--json"]
    done = CliRunner().invoke(build_app(), words)
    assert done.exit_code == 0, done.stderr
    answer = json.loads(done.stdout)
    assert set(answer) >= EXPECTED | {"intervals", "out_of_distribution"}
    assert (answer["accuracy"], answer["set_coverage"], answer["out_of_distribution"]) == (1, 1, 0)
    assert set(answer["intervals"]) >= EXPECTED
    assert everything(root) == before
    assert (answer["shortcut"], answer["robustness"], answer["warnings"]) == (None, None, [])


def test_what_is_not_judged_is_said(tmp_path: Path, model: VisionModel) -> None:
    root = fruit(tmp_path / "fruit")
    (root / "test" / "quince").mkdir()
    (root / "test" / "Apple").mkdir()
    (root / "test" / "Apple" / "1.png").write_bytes(encode(filled("apple", FRUIT)))
    (root / "test" / "stray.png").write_bytes(encode(filled("apple", FRUIT)))
    (root / "test" / "pear" / "notes.txt").write_text("overripe")
    (root / "test" / "pear" / "page.jpg").write_bytes(b"<html>404</html>")
    (root / "test" / "pear" / "cut.png").write_bytes(encode(filled("pear", FRUIT))[:60])
    (root / "test" / "pear" / "gone.png").symlink_to(root / "nowhere.png")
    (root / "test" / "pear" / ".hidden.png").write_bytes(b"")
    found = judged(model, root)
    assert (found.images, found.metrics()["accuracy"]) == (7, pytest.approx(6 / 7))
    said = "\n".join(found.warnings())
    for words in (
        "the model does not know the class Apple (1 image of it, all counted as wrong); did you mean 'apple'?",
        "1 of 5 class folders without images (quince): fill it, or remove it",
        "outside the folders of classes (stray.png): put it into the folder of its class",
        "1 files in",
        "notes.txt",
        "1 of 10 images cannot be read (html)",
        "1 of 10 images cannot be read (truncated)",
        "1 of 10 images cannot be read (missing)",
    ):
        assert words in said
    assert len(found.warnings()) == 7
    images = next(account for account in found.accounts if account.kind == "images")
    assert (images.found, images.used, images.balance) == (10, 7, 0)
    assert found.as_json()["warnings"] == list(found.warnings())


def test_a_class_without_images_is_not_measured(tmp_path: Path, model: VisionModel) -> None:
    found = judged(model, fruit(tmp_path / "fruit", classes=("apple", "pear")))
    assert set(found.per_class) == {"apple", "pear"}
    assert found.warnings() == ("no image shows plum: how well the model finds that is not measured",)


def test_what_cannot_be_judged_is_refused(tmp_path: Path, model: VisionModel) -> None:
    root = fruit(tmp_path / "fruit", "train")
    with pytest.raises(NotFoundError, match="has no split 'test': it has train"):
        judged(model, root)
    with pytest.raises(DataError, match="has no folders called train, val or test"):
        judged(model, root / "train")
    for path in (root / "train").rglob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(DataError, match="none of the 6 images can be used: 6 cannot be read"):
        judged(model, root, "train")
    with pytest.raises(DataError, match="the model knows apple, pear, plum, the dataset has Apple, Pear"):
        judged(model, _capitals(tmp_path))
    with pytest.raises(HandfulError, match="has no folders called train"):
        judged(model, tmp_path / "nowhere")


def _capitals(folder: Path) -> Path:
    for name in ("Apple", "Pear"):
        (folder / "capitals" / "test" / name).mkdir(parents=True)
        (folder / "capitals" / "test" / name / "1.png").write_bytes(encode(filled(name.lower(), FRUIT)))
    return folder / "capitals"


def test_a_class_may_be_called_like_a_split_and_an_image_lie_deeper(tmp_path: Path, model: VisionModel) -> None:
    root = fruit(tmp_path / "fruit")
    for name in ("train/inner", "pear/deeper"):
        (root / "test" / name).mkdir(parents=True)
        (root / "test" / name / "1.png").write_bytes(encode(filled("pear", FRUIT)))
    found = judged(model, root)
    assert (found.per_class["train"]["labels"], found.per_class["pear"]["labels"]) == (1, 3)
    assert any("lie deeper than the folder of their class" in warning for warning in found.warnings())


def test_an_image_of_a_prepared_dataset_that_is_gone_ends_it(tmp_path: Path, model: VisionModel) -> None:
    dataset = prepare(_grouped(tmp_path), tmp_path / "home", task="classify")
    path = dataset.images("test")[0]
    path.unlink()
    path.write_bytes(b"")
    with pytest.raises(DataError, match=f"{path.name} cannot be read .*: prepare the dataset again"):
        evaluate(model, dataset, "test")


def _grouped(folder: Path, images: int = 30) -> DatasetConfig:
    """A table of noisy pictures, a few of each tree."""
    rng, lines = np.random.default_rng(0), ["image,label,group"]
    for number in range(images):
        name = FRUIT[number % 3]
        pixels = np.clip(filled(name, FRUIT) + rng.normal(0, 40, (64, 64, 3)), 0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / f"{number}.png"), pixels)
        lines.append(f"{number}.png,{name},tree-{number // 6}")
    (folder / "table.csv").write_text("\n".join(lines))
    return DatasetConfig(source="csv", path=folder / "table.csv")


def test_groups_of_a_prepared_dataset_are_slices_and_a_package_does_not_name_them(
    tmp_path: Path, model: VisionModel
) -> None:
    dataset = prepare(_grouped(tmp_path, 90), tmp_path / "home", task="classify")
    assert set(groups_of(dataset).values()) == {f"tree-{number}" for number in range(15)}
    found = evaluate(model, dataset, "train")
    groups = [part for part in found.slices if part["by"] == "group"]
    assert {part["name"] for part in groups} <= set(groups_of(dataset).values())
    assert {part["images"] for part in groups} == {6}
    assert {(part["accuracy"], part["why"]) for part in groups} == {(None, f"fewer than {FEWEST} images")}
    written = json.dumps(found.as_json())
    assert "group 1" in written
    assert "tree-" not in written


def test_a_slice_is_scored_on_its_own_images(tmp_path: Path, model: VisionModel) -> None:
    """Dark pictures are answered wrongly."""
    root = fruit(tmp_path / "fruit", images=25)
    for number in range(25):
        (root / "test" / "apple" / f"dark{number}.png").write_bytes(encode(filled("pear", FRUIT) // 8))
    found = judged(model, root)
    slices = {(part["by"], part["name"]): part for part in found.slices}
    assert slices["size", "all alike"]["images"] == found.images == 100
    dark = slices["brightness", "dark"]
    assert (dark["images"], dark["to"] < 40) == (25 if dark["images"] == 25 else 50, True)
    rest = [part for part in found.slices if part["by"] == "brightness" and part["name"] != "dark"]
    right = sum(part["accuracy"] * part["images"] for part in (dark, *rest))
    assert right == pytest.approx(found.right.sum())
    assert all(part["interval"][0] <= part["accuracy"] <= part["interval"][1] for part in (dark, *rest))


def noisy(folder: Path, edge: dict[str, int], seed: int, images: int = 15) -> list[tuple[Path, str]]:
    """Noise that says nothing, in a frame whose grey is the class's."""
    rng, found = np.random.default_rng(seed), []
    folder.mkdir()
    for name, grey in edge.items():
        for number in range(images):
            pixels = np.clip(rng.normal(128, 60, (64, 64, 3)), 0, 255)
            inner = pixels[8:-8, 8:-8].copy()
            pixels = np.clip(rng.normal(grey, 12, pixels.shape), 0, 255)
            pixels[8:-8, 8:-8] = inner
            path = folder / f"{name}-{number}.png"
            cv2.imwrite(str(path), pixels.astype(np.uint8))
            found.append((path, name))
    return found


def shortcut(train: list[tuple[Path, str]], test: list[tuple[Path, str]], accuracy: float) -> ShortcutCheck | None:
    right = np.arange(len(test)) < accuracy * len(test)
    looks = {path: appearance(path.read_bytes()) for path, _ in test}
    return check_shortcut(train, looks, [name for _, name in test], right)


def test_where_only_the_border_differs_the_check_fires(tmp_path: Path) -> None:
    edges = {"ant": 60, "bee": 128, "cow": 200}
    found = shortcut(noisy(tmp_path / "train", edges, 1), noisy(tmp_path / "test", edges, 2), 0.96)
    assert found is not None
    assert (found.gives_away, found.guess, found.images) == (True, pytest.approx(1 / 3), 45)
    assert found.border > 0.9
    assert "the background gives the class away" in found.warning


def test_where_the_border_is_the_same_the_check_does_not_fire(tmp_path: Path) -> None:
    edges = {"ant": 128, "bee": 128, "cow": 128}
    for accuracy in (0.96, 0.3):
        name = str(accuracy)
        found = shortcut(noisy(tmp_path / f"a{name}", edges, 1), noisy(tmp_path / f"b{name}", edges, 2), accuracy)
        assert found is not None
        assert not found.gives_away
        assert (found.share is None) == (accuracy < 1 / 3)


def test_training_images_are_judged_without_having_been_learnt_by_heart(tmp_path: Path) -> None:
    train = noisy(tmp_path / "train", {"ant": 128, "bee": 128, "cow": 128}, 1)
    found = shortcut(train, train, 0.96)
    assert found is not None
    assert found.border < 0.6


def test_with_too_few_training_images_there_is_no_check(tmp_path: Path) -> None:
    few = noisy(tmp_path / "few", {"ant": 60, "bee": 200}, 1, images=4)
    assert shortcut(few, few, 1) is None
    one = noisy(tmp_path / "one", {"ant": 60}, 1)
    assert shortcut(one, one, 1) is None


def test_bean_leaves_in_the_field_do_not_give_themselves_away(shared_data: Path) -> None:
    """0.984 is what a short training reaches on images that are kept back."""
    root = shared_data / "beans-field"
    train, test = (
        [(path, path.parent.name) for path in sorted((root / split).rglob("*.jpg"))] for split in ("train", "val")
    )
    found = shortcut(train, test, 0.984)
    assert found is not None
    assert not found.gives_away
    assert found.share is not None
    assert 0.2 < found.share < 0.6


def test_a_border_is_the_outermost_strip() -> None:
    pixels = np.full((64, 128, 3), 255, np.uint8)
    pixels[4:-4, 4:-4] = 0
    assert border(pixels) == pytest.approx(np.full(48, 255))
    pixels[:, 96:] = 7
    cells = border(pixels).reshape(4, 4, 3)[:, :, 0]
    assert (cells[0].tolist(), cells[3].tolist()) == ([255, 255, 255, 7], [7, 7, 7, 7])
    assert border(np.full((3, 2, 3), 9, np.uint8)) == pytest.approx(np.full(48, 9)), "smaller than its cells"


def test_brightness_and_sharpness_order_images_as_eyes_do() -> None:
    rng = np.random.default_rng(0)
    sharp = rng.integers(0, 255, (200, 300, 3)).astype(np.uint8)
    looks = [appearance(encode(pixels)) for pixels in (sharp, cv2.GaussianBlur(sharp, (0, 0), 2), sharp // 4)]
    assert looks[1].sharpness < looks[0].sharpness / 10
    assert looks[2].brightness < looks[0].brightness / 3
    assert looks[0].size == pytest.approx((200 * 300) ** 0.5)


def test_worse_pictures_are_worse() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (60, 80, 3)).astype(np.uint8)
    changed = {name: worsen(pixels, np.random.default_rng(1)) for name, worsen in robustness.WORSE.items()}
    for kind in ("blur", "darkness", "jpeg", "noise"):
        mild, strong = (
            np.abs(changed[f"{kind} {strength}"].astype(float) - pixels).mean() for strength in ("mild", "strong")
        )
        assert 0 < mild < strong
    half = robustness.darken(pixels, 0.5)
    assert half.max() == round(254 * 0.5 ** (1 / 2.2)), "half the light, as sRGB has it"


def test_a_model_that_looks_at_brightness_fails_in_the_dark(tmp_path: Path) -> None:
    """In the dark the yellow one is taken for red; no other colour changes."""
    four = (*FRUIT, "quince")
    model = load_model(build_package(tmp_path / "package", head="logits", classes=four, counts={}), threads=1)
    for name in four:
        (tmp_path / "fruit" / "test" / name).mkdir(parents=True)
        for number in range(4):
            (tmp_path / "fruit" / "test" / name / f"{number}.png").write_bytes(encode(filled(name, four)))
    found = judged(model, tmp_path / "fruit").stressed(model)
    assert found.robustness is not None
    assert (found.robustness["images"], found.robustness["accuracy"]) == (16, 1)
    lost = {f"{each['kind']} {each['strength']}": each["lost"] for each in found.robustness["conditions"]}
    assert lost == dict.fromkeys(robustness.WORSE, 0) | {
        "darkness strong": 0.25,
        "darkness mild": lost["darkness mild"],
    }
    assert all(each["accuracy"] == pytest.approx(1 - each["lost"]) for each in found.robustness["conditions"])


def test_a_sample_is_spread_over_the_classes() -> None:
    truth = np.repeat([0, 1, 2], [900, 90, 10])
    np.random.default_rng(0).shuffle(truth)
    places = robustness.sample(truth)
    assert (len(places), len(set(places.tolist()))) == (robustness.IMAGES, robustness.IMAGES)
    assert np.bincount(truth[places]).tolist() == pytest.approx([180, 18, 2], abs=1)
    assert robustness.sample(truth[:7]).tolist() == list(range(7))


def test_detectors_are_not_tried_on_worse_pictures(tmp_path: Path) -> None:
    root, package = write_squares(tmp_path / "squares"), build_package(tmp_path / "package")
    words = ["evaluate", "--data", str(root), "--package", str(package.root), "--robustness"]
    done = CliRunner().invoke(build_app(), words)
    assert isinstance(done.exception, HandfulError), done.output
    assert "leave out --robustness" in str(done.exception)


def test_the_surest_mistake_comes_first() -> None:
    probabilities = np.asarray([(0.6, 0.4), (0.95, 0.05), (0.3, 0.7), (0.9, 0.1)], np.float32)
    paths = tuple(Path(str(number)) for number in range(4))
    found = Evaluation("test", ("a", "b", "c"), np.asarray([1, 1, 1, 2]), probabilities, paths)
    assert mistakes(found) == [1, 3, 0]


def test_a_captured_picture_is_judged_and_not_shown(tmp_path: Path) -> None:
    paths = tuple(tmp_path / name for name in ("own.png", f"{captured_id('0a' * 16)}.png"))
    for path in paths:
        cv2.imwrite(str(path), np.zeros((32, 32, 3), np.uint8))
    probabilities = np.asarray([(0.6, 0.4), (0.95, 0.05)], np.float32)
    write_page(Evaluation("test", ("a", "b"), np.asarray([1, 1]), probabilities, paths), {}, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert page.count("<figure>") == 1
    assert "The first 1 of 2 are shown" in page
    assert paths[1].name not in page


def test_a_damaged_list_of_assets_is_said(tmp_path: Path) -> None:
    dataset = prepare(_grouped(tmp_path), tmp_path / "home", task="classify")
    for damage in ("{", "[]\n", '{"group": "tree-1"}\n'):
        (dataset.root / "assets.jsonl").write_text(damage)
        with pytest.raises(DataError, match=r"assets.jsonl is damaged: prepare the dataset again"):
            groups_of(dataset)
