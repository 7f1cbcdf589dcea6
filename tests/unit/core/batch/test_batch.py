"""A batch: every image has one row, whatever happened meanwhile."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fakes.batch import Killed
from fakes.packages import build_package, encode, picture
from fakes.squares import SCENES
from handful_core.batch.job import run_batch
from handful_core.batch.processes import Processes
from handful_core.batch.storage import Storage
from handful_core.batch.worker import BatchOptions, Done, Part, Worker
from handful_core.errors import ConfigError, DataError, ResourceError
from handful_core.package import Package
from handful_core.runtime.model import load_model
from handful_core.vision.decode import decode_image
from handful_core.vision.prediction import to_dict

PLAIN = BatchOptions(faces="off")


def here(worker: Worker, parts: Sequence[Part]) -> Iterator[Done]:
    """In this process."""
    return map(worker.answer, parts)


@dataclass
class BreaksOff:
    """Answers some parts, then is killed."""

    parts: int

    def __call__(self, worker: Worker, parts: Sequence[Part]) -> Iterable[Done]:
        for part in parts[: self.parts]:
            yield worker.answer(part)
        raise KeyboardInterrupt


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return build_package(tmp_path_factory.mktemp("detector") / "package")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    (folder / "sub").mkdir()
    for number, squares in enumerate(SCENES):
        (folder / "sub" / f"{number}.png").write_bytes(encode(picture(squares)))
    (folder / "._0.png").write_bytes(b"left by macOS")
    (folder / "notes.txt").write_bytes(b"no image")
    return folder


def rows_in(output: Path) -> list[dict[str, Any]]:
    return [row for part in sorted(output.glob("part-*.parquet")) for row in pq.read_table(part).to_pylist()]


def test_a_row_is_what_the_model_says(detector: Package, images: Path, tmp_path: Path) -> None:
    result = run_batch(detector, Storage(str(images)), Storage(str(tmp_path / "out")), PLAIN, here, part_size=4)
    assert (result.images, result.failed, result.before) == (len(SCENES), 0, 0)
    rows = rows_in(tmp_path / "out")
    model = load_model(detector, 1)
    assert [row["file"] for row in rows] == [f"{images}/sub/{number}.png" for number in range(len(SCENES))]
    for row in rows:
        pixels = decode_image(Path(row["file"]).read_bytes())
        answer = to_dict(model.predict(pixels), detector.manifest)
        assert row["count"] == answer["count"]
        assert [each["name"] for each in row["detections"]] == [each["name"] for each in answer["detections"]]
        assert [each["box"] for each in row["detections"]] == [
            pytest.approx(each["box"], abs=1e-3) for each in answer["detections"]
        ]
        assert (row["width"], row["height"], row["error"]) == (pixels.shape[1], pixels.shape[0], None)


def test_a_classifier_names_what_an_image_shows(images: Path, tmp_path: Path) -> None:
    package = build_package(tmp_path / "package", "probabilities", limits=True)
    run_batch(package, Storage(str(images)), Storage(str(tmp_path / "out")), PLAIN, here)
    for row in rows_in(tmp_path / "out"):
        answer = to_dict(load_model(package, 1).predict(decode_image(Path(row["file"]).read_bytes())), package.manifest)
        assert row["name"] == answer["top"][0]["name"]
        assert row["prediction_set"] == answer["prediction_set"]
        assert row["out_of_distribution"] == answer["out_of_distribution"]
        assert row["probability"] == pytest.approx(answer["top"][0]["probability"], abs=1e-6)
        assert len(row["probabilities"]) == len(package.manifest.classes)


@given(broken=st.lists(st.integers(0, 4), max_size=4), part_size=st.integers(1, 7))
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_however_often_it_is_broken_off_each_image_has_one_row(
    detector: Package, images: Path, broken: list[int], part_size: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "out"
        for parts in broken:
            with suppress(KeyboardInterrupt):
                run_batch(detector, Storage(str(images)), Storage(str(output)), PLAIN, BreaksOff(parts), part_size)
        result = run_batch(detector, Storage(str(images)), Storage(str(output)), PLAIN, here, part_size)
        files = [row["file"] for row in rows_in(output)]
        assert result.images + result.before == len(SCENES)
        assert sorted(files) == [f"{images}/sub/{number}.png" for number in range(len(SCENES))]


def test_a_file_that_is_no_image_costs_its_own_answer(detector: Package, images: Path, tmp_path: Path) -> None:
    (tmp_path / "mixed").mkdir()
    (tmp_path / "mixed" / "good.png").write_bytes((images / "sub" / "0.png").read_bytes())
    (tmp_path / "mixed" / "empty.jpg").touch()
    result = run_batch(detector, Storage(str(tmp_path / "mixed")), Storage(str(tmp_path / "out")), PLAIN, here)
    assert (result.images, result.failed) == (2, 1)
    assert result.first_error.startswith(f"{tmp_path}/mixed/empty.jpg: the file is empty")
    empty, good = rows_in(tmp_path / "out")
    assert (empty["detections"], good["error"]) == (None, None)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        ("package", "holds answers with package "),
        ("options", "holds answers with confidence None, not 0.9"),
        ("image", "1 images have changed since they were answered, such as "),
        ("file", "holds other files, such as notes.txt"),
    ],
)
def test_answers_of_two_kinds_are_not_mixed(
    detector: Package, images: Path, tmp_path: Path, spoil: str, said: str
) -> None:
    copy, output = tmp_path / "images", tmp_path / "out"
    copy.mkdir()
    (copy / "0.png").write_bytes((images / "sub" / "0.png").read_bytes())
    run_batch(detector, Storage(str(copy)), Storage(str(output)), PLAIN, here)
    package, options = detector, PLAIN
    if spoil == "package":
        package = build_package(tmp_path / "other", sharpness=3.0)
    elif spoil == "options":
        options = BatchOptions(confidence=0.9, faces="off")
    elif spoil == "image":
        (copy / "0.png").write_bytes((images / "sub" / "1.png").read_bytes())
    else:
        (output / "notes.txt").touch()
    with pytest.raises(ConfigError, match=said):
        run_batch(package, Storage(str(copy)), Storage(str(output)), options, here)


@pytest.mark.parametrize(("folder", "said"), [("missing", "there is no folder"), ("", "has no image")])
def test_a_folder_without_images_is_told(detector: Package, tmp_path: Path, folder: str, said: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=said):
        run_batch(detector, Storage(str(tmp_path / "empty" / folder)), Storage(str(tmp_path / "out")), PLAIN, here)


def test_processes_answer_all(detector: Package, images: Path, tmp_path: Path) -> None:
    output = Storage(str(tmp_path / "out"))
    result = run_batch(detector, Storage(str(images)), output, PLAIN, Processes(2), part_size=2)
    assert (result.images, result.failed) == (len(SCENES), 0)
    assert len(rows_in(tmp_path / "out")) == len(SCENES)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on Windows")
def test_a_killed_process_is_told_and_the_batch_goes_on(detector: Package, images: Path, tmp_path: Path) -> None:
    def dying(worker: Worker, parts: Sequence[Part]) -> Iterator[Done]:
        return Processes(1)(Killed(worker.package, worker.output, worker.options, worker.description), parts)

    output = Storage(str(tmp_path / "out"))
    with pytest.raises(ResourceError, match="what was answered is kept"):
        run_batch(detector, Storage(str(images)), output, PLAIN, dying, part_size=1)
    result = run_batch(detector, Storage(str(images)), output, PLAIN, here, part_size=1)
    assert (result.before, result.images) == (2, len(SCENES) - 2)
    assert len(rows_in(tmp_path / "out")) == len(SCENES)
