"""`handful data push` with the real SDK against a Picsellia that stumbles, and what is pulled again."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from fakes.exports import encoded, picture
from fakes.picsellia import FakePicsellia
from handful_core.cli.main import main
from handful_core.errors import ConfigError, DataError, UnavailableError
from handful_core.settings import load
from handful_trainer.dataset.picsellia import remote_push
from handful_trainer.dataset.picsellia.pull import pull
from handful_trainer.dataset.picsellia.push import Pushed, push
from handful_trainer.dataset.picsellia.settings import PicselliaSettings, Target
from handful_trainer.dataset.preparation.prepare import prepare
from handful_trainer.dataset.settings import DatasetConfig, PicselliaConfig
from handful_trainer.dataset.sources.base import ACCEPTED, RawBox, RawDataset, RawItem


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_push, "_PAUSE", 0.001)


@pytest.fixture
def raw(tmp_path: Path) -> RawDataset:
    """Twelve images with a box, one that shows nothing, and two that are not pushed."""
    items = [_item(tmp_path, n, (RawBox(["cat", "dog"][n % 2], 4.6, 5, 20, 18),)) for n in range(12)]
    items.append(_item(tmp_path, 12, ()))
    items.append(_item(tmp_path, 13, ())._replace(status="pending"))
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    items.append(RawItem("broken", tmp_path / "broken.jpg", "broken.jpg", ACCEPTED))
    return RawDataset(tuple(items))


def _item(folder: Path, number: int, boxes: tuple[RawBox, ...], *labels: str) -> RawItem:
    path = folder / f"{number}.jpg"
    path.write_bytes(encoded(picture(number)))
    return RawItem(f"hand-{number}", path, path.name, ACCEPTED, boxes, labels=labels)


def pushed(raw: RawDataset, home: Path, version: str = "v1", task: str = "detect") -> Pushed:
    settings = load(PicselliaSettings)
    target = Target.from_settings(PicselliaConfig(dataset="hands", version=version), settings)
    return push(raw, task, target, settings, home / "home")


def numbers(found: Pushed) -> tuple[int, int, int, int, int]:
    return found.images, found.uploaded, found.added, found.annotated, found.left_out


def test_what_is_pushed_is_pulled_again(picsellia: FakePicsellia, raw: RawDataset, tmp_path: Path) -> None:
    assert numbers(pushed(raw, tmp_path)) == (13, 13, 13, 13, 2)
    version = picsellia.datasets["hands"]["v1"]
    assert (version.type, version.labels) == ("OBJECT_DETECTION", ["cat", "dog"])
    assert {found[0]["status"] for found in version.annotations.values()} == {"ACCEPTED"}
    folder = pull(
        PicselliaConfig(dataset="hands", version="v1"), load(PicselliaSettings), tmp_path / "again"
    ).folder  # fmt: skip
    files = {path.read_bytes() for path in (folder / "assets").iterdir()}
    assert files == {item.path.read_bytes() for item in raw.items[:13] if item.path}
    dataset = prepare(DatasetConfig(source="picsellia-export", path=folder), tmp_path / "home")
    assert dataset.report["boxes_per_class"] == {"cat": 6, "dog": 6}
    assert dataset.report["usable_without_boxes"] == 1, "what shows nothing is accepted, too"
    (annotation,) = {json.dumps(found[0]["rectangles"][0]) for found in version.annotations.values()
                     if found[0]["rectangles"] and found[0]["rectangles"][0]["label"] == "cat"}  # fmt: skip
    assert [json.loads(annotation)[side] for side in "xywh"] == [5, 5, 20, 18], "rounded, not cut"


def test_a_second_push_changes_nothing(picsellia: FakePicsellia, raw: RawDataset, tmp_path: Path) -> None:
    pushed(raw, tmp_path)
    asked = len(picsellia.requests)
    assert numbers(pushed(raw, tmp_path)) == (13, 0, 0, 0, 2)
    again = picsellia.requests[asked:]
    assert not [request for request in again if request.startswith("POST")], "nothing is written"
    assert len(picsellia.lake) == len(picsellia.objects) == 13


def test_a_new_version_uses_the_files_that_are_there(picsellia: FakePicsellia, raw: RawDataset, tmp_path: Path) -> None:
    pushed(raw, tmp_path)
    more = RawDataset((*raw.items, _item(tmp_path, 20, (RawBox("cat", 1, 1, 9, 9),))))
    assert numbers(pushed(more, tmp_path, "v2")) == (14, 1, 14, 14, 2)
    assert len(picsellia.lake) == 14


def test_other_content_needs_another_version(picsellia: FakePicsellia, raw: RawDataset, tmp_path: Path) -> None:
    pushed(raw, tmp_path)
    changed = raw.items[0]._replace(boxes=(RawBox("dog", 4, 5, 20, 18),))
    asked = picsellia.asked("POST")
    with pytest.raises(ConfigError, match="hands, version v1 is there, and holds something else"):
        pushed(RawDataset((changed, *raw.items[1:])), tmp_path)
    assert picsellia.asked("POST") == asked


def test_somebody_elses_version_is_left_alone(picsellia: FakePicsellia, raw: RawDataset, tmp_path: Path) -> None:
    picsellia.version("hands", "v1").description = "drawn by hand"
    with pytest.raises(ConfigError, match="name a new version"):
        pushed(raw, tmp_path)


def test_a_push_that_was_broken_off_goes_on(picsellia: FakePicsellia, raw: RawDataset, tmp_path: Path) -> None:
    picsellia.fault("generate_object_name", 400, times=1)
    with pytest.raises(DataError, match="a place for a file"):
        pushed(raw, tmp_path)
    there = len(picsellia.lake)
    assert there < 13
    picsellia.datasets["hands"]["v1"].description = ""  # A platform that keeps none: it is written down here, too.
    assert numbers(pushed(raw, tmp_path)) == (13, 13 - there, 13, 13, 2)


@pytest.mark.parametrize("path", ["/datas$", "/assets$", "/bulk-annotations", "/labels$", "generate_presigned_url",
                                  "generate_object_name", "/versions$", "/job/", "/upload/"])  # fmt: skip
def test_what_passes_is_tried_again(path: str, picsellia: FakePicsellia, raw: RawDataset, tmp_path: Path) -> None:
    picsellia.fault(path, 502, times=2)
    assert pushed(raw, tmp_path).images == 13
    assert len(picsellia.datasets["hands"]["v1"].assets) == 13


@pytest.mark.parametrize("failure", [UnavailableError("the store does not answer"), KeyboardInterrupt()])
def test_after_a_failed_upload_the_others_are_not_sent(
    picsellia: FakePicsellia, raw: RawDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    asked, is_over = [], threading.Event()
    end = ThreadPoolExecutor.shutdown

    def fail(_: object, path: Path, *__: object) -> None:
        asked.append(path)
        if len(asked) == 1:
            raise failure
        is_over.wait(30)

    def shutdown(pool: ThreadPoolExecutor, wait: bool = True, *, cancel_futures: bool = False) -> None:
        end(pool, wait=False, cancel_futures=cancel_futures)
        is_over.set()
        end(pool, wait=wait)

    monkeypatch.setattr(ThreadPoolExecutor, "shutdown", shutdown)
    monkeypatch.setattr(remote_push.WritableVersion, "upload", fail)
    with pytest.raises(type(failure)):
        pushed(raw, tmp_path)
    assert len(asked) < 13
    assert not picsellia.datasets["hands"]["v1"].annotations


def test_a_job_that_fails_is_told(picsellia: FakePicsellia, raw: RawDataset, tmp_path: Path) -> None:
    picsellia.job_ends = "FAILED"
    with pytest.raises(DataError, match="job that adds files ended as FAILED"):
        pushed(raw, tmp_path)


def test_files_that_are_never_taken_up_are_told(
    picsellia: FakePicsellia, raw: RawDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_push, "_PATIENCE", 0.05)
    picsellia.computing = 10**9
    with pytest.raises(UnavailableError, match="has not taken up 13 files yet"):
        pushed(raw, tmp_path)


def test_classes_are_pushed(picsellia: FakePicsellia, tmp_path: Path) -> None:
    items = [_item(tmp_path, n, (), ["rust", "healthy"][n % 2]) for n in range(6)]
    assert numbers(pushed(RawDataset((*items, _item(tmp_path, 9, ()))), tmp_path, task="classify")) == (6, 6, 6, 6, 1)
    version = picsellia.datasets["hands"]["v1"]
    assert version.type == "CLASSIFICATION"
    folder = pull(PicselliaConfig(dataset="hands", version="v1"), load(PicselliaSettings), tmp_path / "again").folder
    dataset = prepare(DatasetConfig(source="picsellia-export", path=folder), tmp_path / "home", task="classify")
    assert dataset.report["labels_per_class"] == {"healthy": 3, "rust": 3}


def test_one_image_under_two_names_is_one_asset(
    picsellia: FakePicsellia, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = _item(tmp_path, 1, (RawBox("cat", 1, 1, 9, 9),))
    raw = RawDataset((first, first._replace(id="copy"), first._replace(id="other", boxes=())))
    assert pushed(raw, tmp_path).images == 1
    assert "other.jpg is the same image as hand-1.jpg, with other labels" in " ".join(capsys.readouterr().err.split())


def test_the_command(picsellia: FakePicsellia, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    folder = tmp_path / "leaves"
    for number in range(6):
        (folder / ["rust", "healthy"][number % 2]).mkdir(parents=True, exist_ok=True)
        (folder / ["rust", "healthy"][number % 2] / f"{number}.jpg").write_bytes(encoded(picture(number)))
    config = tmp_path / "leaves.yaml"
    config.write_text(f"task: classify\ndataset: {{source: folder, path: {folder}}}\n")
    monkeypatch.setenv("HANDFUL_HOME", str(tmp_path / "home"))
    with pytest.raises(SystemExit) as end:
        main(["data", "push", "leaves", "v1", "--config", str(config), "--json"])
    assert end.value.code == 0
    assert json.loads(capsys.readouterr().out)["images"] == 6, "the SDK says nothing on stdout"
    with pytest.raises(SystemExit) as end:
        main(["data", "push", "leaves", "v1"])
    assert end.value.code == 2
    assert "give either --config or --model" in capsys.readouterr().err
