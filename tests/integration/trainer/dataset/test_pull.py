"""`handful data pull` with the real SDK against a Picsellia that stumbles."""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fakes.exports import encoded, picture, rectangle
from fakes.picsellia import TOKEN, FakePicsellia, FakeVersion, Fault
from handful_core.cli.main import main
from handful_core.errors import ConfigError, DataError, HandfulError, NotFoundError, ResourceError, UnavailableError
from handful_core.settings import load
from handful_trainer.dataset.picsellia import pull as pulling
from handful_trainer.dataset.picsellia.pull import Pulled, pull
from handful_trainer.dataset.picsellia.settings import PicselliaSettings
from handful_trainer.dataset.preparation.prepare import prepare
from handful_trainer.dataset.settings import DatasetConfig, PicselliaConfig
from handful_trainer.dataset.sources.registry import open_source


def annotation(label: str = "cat", status: str = "ACCEPTED") -> dict[str, Any]:
    return {"status": status, "rectangles": [rectangle(label, 4, 5, 20, 18)], "polygons": [], "classifications": []}


@pytest.fixture
def version(picsellia: FakePicsellia) -> FakeVersion:
    """Twelve images of cats and dogs, two of them with one file name."""
    found = picsellia.version()
    found.labels = ["cat", "dog"]
    for number in range(12):
        found.add(f"IMG_{number // 2}.JPG", encoded(picture(number)), annotation(["cat", "dog"][number % 2]))
    return found


def pulled(tmp_path: Path, **settings: Any) -> Pulled:
    wanted = PicselliaConfig.model_validate({"dataset": "fingers", "version": "v1", **settings})
    return pull(wanted, load(PicselliaSettings), tmp_path)


def files(folder: Path) -> dict[str, bytes]:
    return {path.stem: path.read_bytes() for path in (folder / "assets").iterdir()}


def contents(version: FakeVersion) -> dict[str, bytes]:
    return {a["id"]: version.files[a["data"]["object_name"]] for a in version.assets}  # type: ignore[misc]


def test_a_version_becomes_a_folder_that_prepare_reads(version: FakeVersion, tmp_path: Path) -> None:
    found = pulled(tmp_path)
    assert files(found.folder) == contents(version)
    assert found.folder.parent == tmp_path / "raw"
    assert found.source["counts"] == {
        "assets": 12,
        "files": 12,
        "missing": 0,
        "annotations": 12,
        "newest_by_status": {"accepted": 12},
    }
    assert found.source["organisation"]["name"] == "Handful"
    export = DatasetConfig(source="picsellia-export", path=found.folder)
    dataset = prepare(export, tmp_path)
    assert dataset.classes == ("cat", "dog")
    assert dataset.report["boxes_per_class"] == {"cat": 6, "dog": 6}


def test_a_training_with_this_source_pulls_first(
    version: FakeVersion, picsellia: FakePicsellia, tmp_path: Path
) -> None:
    settings = DatasetConfig.model_validate(
        {"source": "picsellia", "picsellia": {"dataset": "fingers", "version": "v1"}}
    )
    first = prepare(settings, tmp_path)
    assert first.name == "fingers-v1"
    assert first.report["usable_images"] == 12
    fetched = picsellia.asked("/storage/")
    assert prepare(settings, tmp_path) == first
    assert picsellia.asked("/storage/") == fetched == 12
    version.add("new.jpg", encoded(picture(40)), annotation())
    assert prepare(settings, tmp_path).report["usable_images"] == 13
    assert picsellia.asked("/storage/") == 13


def test_a_label_that_is_new_is_a_change(version: FakeVersion, tmp_path: Path) -> None:
    settings = DatasetConfig.model_validate(
        {"source": "picsellia", "picsellia": {"dataset": "fingers", "version": "v1"}}
    )
    assert prepare(settings, tmp_path).classes == ("cat", "dog")
    version.labels = ["cat", "cow", "dog"]
    assert prepare(settings, tmp_path).classes == ("cat", "cow", "dog")


def test_a_second_pull_leaves_all_that_did_not_change_alone(version: FakeVersion, tmp_path: Path) -> None:
    found = pulled(tmp_path)
    folder, source = found.folder, found.folder / "source.json"
    source.write_text(source.read_text().replace(found.source["pulled"], "2001-01-01T00:00:00+00:00"))
    for path in folder.rglob("*"):
        os.utime(path, (1, 1))
    pulled(tmp_path)
    read = ("assets.json", "annotations.json", "source.json")
    assert {path.stat().st_mtime for path in [*map(folder.joinpath, read), *(folder / "assets").iterdir()]} == {1}


def test_the_newest_annotation_is_first_though_it_comes_in_another_answer(
    picsellia: FakePicsellia, tmp_path: Path
) -> None:
    version = picsellia.version()
    for number in range(30):
        old = [annotation("old", "REFUSED") for _ in range(6)]
        version.add("a.jpg", encoded(picture(number)), annotation("new"), *old)
    found = pulled(tmp_path)
    annotations = json.loads((found.folder / "annotations.json").read_text())
    assert {len(entries) for entries in annotations.values()} == {7}
    assert {entries[0]["rectangles"][0]["label"] for entries in annotations.values()} == {"new"}
    assert picsellia.asked("XGET .*annotations") == 3


def test_all_pages_are_read(version: FakeVersion, picsellia: FakePicsellia, tmp_path: Path) -> None:
    picsellia.page = 5
    assert files(pulled(tmp_path).folder) == contents(version)
    assert picsellia.asked(r"/assets\?") == 3


def test_tags_come_along(version: FakeVersion, picsellia: FakePicsellia, tmp_path: Path) -> None:
    picsellia.page = 5
    first, *others = [asset["id"] for asset in version.assets]
    version.tags = {"person: ada": {first, *others[:6]}, 'the "best"': {first}, "unused": set()}
    assets = json.loads((pulled(tmp_path).folder / "assets.json").read_text())
    tags = {asset["id"]: asset.get("tags") for asset in assets}
    assert tags[first] == ["person: ada", 'the "best"']
    assert tags[others[5]] == ["person: ada"]
    assert tags[others[6]] is None


@pytest.mark.parametrize("fault", [429, 500, 502, 503, 504, "close"])
@pytest.mark.parametrize(
    "path", ["/ping", "/datasets/find", "/labels", "/assets$", "/annotations/ids", "/annotations$"]
)
def test_a_platform_that_stumbles_is_asked_again(
    version: FakeVersion, picsellia: FakePicsellia, tmp_path: Path, path: str, fault: Fault
) -> None:
    picsellia.fault(path, fault, times=3)
    assert files(pulled(tmp_path).folder) == contents(version)


@pytest.mark.parametrize("fault", [429, 500, 503, "close", "cut", "too_long"])
def test_a_download_that_breaks_is_repeated(
    version: FakeVersion, picsellia: FakePicsellia, tmp_path: Path, fault: Fault
) -> None:
    picsellia.fault("/storage/", fault, times=4)
    found = pulled(tmp_path)
    assert files(found.folder) == contents(version)
    assert picsellia.asked("/storage/") == 16
    assert not list(found.folder.glob(".parts*"))


def test_an_address_that_expired_is_renewed(version: FakeVersion, picsellia: FakePicsellia, tmp_path: Path) -> None:
    def expire(*_: object) -> None:
        picsellia.signature = "signature-2"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pulling, "_check_accepted", expire)
        found = pulled(tmp_path)
    assert files(found.folder) == contents(version)
    assert picsellia.asked("presigned-url") == 12


def test_every_asset_is_accounted_for(version: FakeVersion, picsellia: FakePicsellia, tmp_path: Path) -> None:
    lost = version.assets[3]
    del version.files[lost["data"]["object_name"]]
    video = version.add("film.mp4", b"", type="VIDEO")
    pending = version.add("late.jpg", b"", upload_status="COMPUTING", meta=None)
    with pytest.raises(DataError, match=r"3 of 14 assets have no file \(.*404.*\); the others are here") as refused:
        pulled(tmp_path)
    assert "the object store answers 404" in str(refused.value)
    found = pulled(tmp_path, missing="accept")
    assert found.source["missing"] == {
        lost["id"]: "the object store answers 404",
        video: "it is of the type VIDEO",
        pending: "its upload is COMPUTING",
    }
    assert found.source["counts"]["files"] == 11 == len(files(found.folder))
    assert found.fetched == 0  # The other eleven came with the pull that was refused.
    report = prepare(DatasetConfig(source="picsellia-export", path=found.folder), tmp_path).report
    assert (report["assets"], report["undecodable_kinds"]["missing"]) == (14, 3)


def test_a_pull_that_broke_off_goes_on_where_it_stopped(
    version: FakeVersion, picsellia: FakePicsellia, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PICSELLIA_WORKERS", "1")
    monkeypatch.setattr("handful_trainer.dataset.picsellia.downloads._MAX_CONSECUTIVE_FAILURES", 3)
    for asset in version.assets[5:]:
        picsellia.fault(f"/storage/{asset['data']['object_name']}", 500, times=6)
    order = sorted(asset["id"] for asset in version.assets)
    with pytest.raises(UnavailableError, match=r"stopped answering \(it answers 500\).*run it again"):
        pulled(tmp_path)
    (folder,) = (tmp_path / "raw").iterdir()
    came = set(files(folder))
    assert came < set(order)
    with pytest.raises(DataError, match="was broken off: run handful data pull again"):
        open_source(DatasetConfig(source="picsellia-export", path=folder), tmp_path).roots()
    picsellia._faults.clear()
    picsellia.requests.clear()
    found = pulled(tmp_path)
    assert files(found.folder) == contents(version)
    assert found.fetched == picsellia.asked("/storage/") == 12 - len(came)


def test_a_killed_pull_leaves_no_half_file_that_counts(
    version: FakeVersion, picsellia: FakePicsellia, tmp_path: Path
) -> None:
    found = pulled(tmp_path)
    ledger = found.folder / "files.jsonl"
    lines = ledger.read_text().splitlines()  # In the order of coming, which is another each time.
    first = found.folder / "assets" / f"{json.loads(lines[0])['asset']}.jpg"
    first.write_bytes(first.read_bytes()[:100])
    ledger.write_text("\n".join(lines)[:-30])
    assert pulled(tmp_path).fetched == 2
    assert files(found.folder) == contents(version)


def test_a_second_pull_fetches_what_changed_and_removes_what_is_gone(
    version: FakeVersion, picsellia: FakePicsellia, tmp_path: Path
) -> None:
    first = pulled(tmp_path)
    stamps = {path: path.stat().st_mtime_ns for path in first.folder.rglob("*.j*") if path.name != "source.json"}
    again = pulled(tmp_path)
    assert (again.fetched, again.removed, again.bytes) == (0, 0, 0)
    assert {path: path.stat().st_mtime_ns for path in stamps if path.name != "files.jsonl"} == {
        path: stamp for path, stamp in stamps.items() if path.name != "files.jsonl"
    }
    gone = version.assets.pop(0)
    changed = version.assets[0]["data"]
    changed["object_name"] = "datalake/another"
    version.files["datalake/another"] = encoded(picture(77))
    version.add("new.jpg", encoded(picture(78)), annotation())
    last = pulled(tmp_path)
    assert (last.fetched, last.removed) == (2, 1)
    assert gone["id"] not in files(last.folder)
    assert files(last.folder) == contents(version)


def test_a_list_that_ends_early_is_not_taken_for_whole(
    version: FakeVersion, picsellia: FakePicsellia, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fakes.picsellia._page", lambda *_: {"items": version.assets[:9], "count": 12})
    with pytest.raises(DataError, match="there are 12 assets and lists 9"):
        pulled(tmp_path)


def test_a_list_of_nonsense_names_the_asset(version: FakeVersion, tmp_path: Path) -> None:
    version.assets[4]["data"] = None
    with pytest.raises(DataError, match=f"asset {version.assets[4]['id']}: data: null where an object"):
        pulled(tmp_path)
    version.assets[4]["id"] = "../../outside"
    with pytest.raises(DataError, match=r"id '../../outside' cannot name a file"):
        pulled(tmp_path)


def _no_assets(fake: FakePicsellia) -> None:
    fake.version().assets.clear()


def _nothing_accepted(fake: FakePicsellia) -> None:
    for found in fake.version().annotations.values():
        found[0]["status"] = "PENDING"


def _nothing_annotated(fake: FakePicsellia) -> None:
    fake.version().annotations.clear()


def _homeless(fake: FakePicsellia) -> None:
    fake.owns_organisation = False


def _no_picsellia(fake: FakePicsellia) -> None:
    fake.fault("/ping", "html", times=9)


def _elsewhere(fake: FakePicsellia) -> None:
    fake.fault("/ping", 404, times=9)


def _forbidden(fake: FakePicsellia) -> None:
    fake.fault("/assets", 403, times=9)


def _down(fake: FakePicsellia) -> None:
    fake.fault("/labels", 500, times=99)


def _cut(fake: FakePicsellia) -> None:
    fake.fault("/labels", "close", times=99)


@pytest.mark.parametrize(
    ("settings", "change", "kind", "words"),
    [
        ({"organisation": "Nobody"}, None, NotFoundError, "there is no organisation 'Nobody' at"),
        ({}, _homeless, ConfigError, "no organisation is named and the token's owner has none"),
        ({"dataset": "toes"}, None, NotFoundError, "organisation Handful has no dataset 'toes': there is fingers"),
        ({"version": "v9"}, None, NotFoundError, "dataset fingers has no version 'v9': there is v1"),
        ({"dataset": ""}, None, ConfigError, "handful data pull DATASET VERSION, or set dataset.picsellia.dataset"),
        ({"host": "app.picsellia.com"}, None, ConfigError, "is not a web address"),
        ({"host": "http://127.0.0.1:9"}, None, UnavailableError, "does not give the platform (ConnectionError)"),
        ({}, _no_assets, DataError, "has no assets"),
        ({}, _nothing_accepted, DataError, "no asset of fingers, version v1 has an accepted annotation (12 pending)"),
        ({}, _nothing_annotated, DataError, "has an accepted annotation (12 none)"),
        ({}, _no_picsellia, UnavailableError, "not JSON: check the host"),
        ({}, _elsewhere, UnavailableError, "not as Picsellia does: check"),
        ({}, _forbidden, ConfigError, "refuses the token"),
        ({}, _down, UnavailableError, "does not give its labels (told to answer 500)"),
        ({}, _cut, UnavailableError, "does not give its labels (ConnectionError)"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    version: FakeVersion,
    picsellia: FakePicsellia,
    tmp_path: Path,
    settings: dict[str, str],
    change: Callable[[FakePicsellia], None] | None,
    kind: type[HandfulError],
    words: str,
) -> None:
    if change:
        change(picsellia)
    with pytest.raises(kind) as refused:
        pulled(tmp_path, **settings)
    assert words in str(refused.value)
    assert refused.value.hint
    assert picsellia.asked("/storage/") == 0


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"PICSELLIA_TOKEN": "wrong"}, "refuses the token: make another (Profile settings > Token)"),
        ({"PICSELLIA_TOKEN": ""}, "there is no Picsellia token: make one"),
        ({"PICSELLIA_TOKEN": "", "PICSELLIA_TOKEN_FILE": "nowhere"}, "file nowhere cannot be read (No such file"),
        ({"PICSELLIA_TOKEN": "", "PICSELLIA_TOKEN_FILE": "/dev/null"}, "is empty or holds no token"),
        ({"PICSELLIA_WORKERS": "0"}, "the environment variable PICSELLIA_WORKERS is wrong"),
    ],
)
def test_a_token_that_does_not_do_is_told(
    version: FakeVersion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], words: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as refused:
        pulled(tmp_path)
    assert words in str(refused.value)


def test_the_token_may_be_a_file_and_is_written_nowhere(
    version: FakeVersion,
    picsellia: FakePicsellia,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    monkeypatch.delenv("PICSELLIA_TOKEN")
    monkeypatch.setenv("PICSELLIA_TOKEN_FILE", str(tmp_path / "token"))
    assert TOKEN not in repr(load(PicselliaSettings))
    picsellia.fault("/storage/", "cut", times=80)
    monkeypatch.setattr("handful_trainer.dataset.picsellia.downloads._MAX_CONSECUTIVE_FAILURES", 100)
    with pytest.raises(DataError) as refused:
        pulled(tmp_path)
    home = tmp_path / "raw"
    written = b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())
    said = written.decode(errors="replace") + str(refused.value) + "".join(capfd.readouterr())
    handful = "".join(record.getMessage() for record in caplog.records if record.name.startswith("handful"))
    assert TOKEN not in said + caplog.text
    assert picsellia.signature not in said + handful


@pytest.mark.parametrize("organisation", ["Handful", None])
def test_an_organisation_may_be_named(
    version: FakeVersion, picsellia: FakePicsellia, tmp_path: Path, organisation: str | None
) -> None:
    picsellia.owns_organisation = False
    organisation = organisation or str(__import__("fakes.picsellia").picsellia.named_id("organisation", "Handful"))
    assert pulled(tmp_path, organisation=organisation).fetched == 12


def test_a_disk_without_room_is_told(version: FakeVersion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 10**6))
        with pytest.raises(ResourceError, match=r"has 1 MB free, \d+ more files need about .*goes on where it stopped"):
            pulled(tmp_path)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("handful_trainer.dataset.picsellia.downloads.DownloadIndex.add", full)
        with pytest.raises(ResourceError, match="is full after 0 files: make room"):
            pulled(tmp_path)
    assert pulled(tmp_path).source["counts"]["files"] == 12


def test_a_folder_with_something_else_is_left_alone(
    version: FakeVersion, picsellia: FakePicsellia, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    settings = load(PicselliaSettings)
    with pytest.raises(ConfigError, match="holds something that was not pulled"):
        pull(PicselliaConfig(dataset="fingers", version="v1"), settings, tmp_path, tmp_path / "mine")
    picsellia.version(name="v2").add("a.jpg", encoded(picture(1)), annotation())
    pull(PicselliaConfig(dataset="fingers", version="v1"), settings, tmp_path, tmp_path / "here")
    with pytest.raises(ConfigError, match="holds the version 'v1'"):
        pull(PicselliaConfig(dataset="fingers", version="v2"), settings, tmp_path, tmp_path / "here")


def test_two_pulls_into_one_folder_are_one_too_many(
    version: FakeVersion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    within, go_on = threading.Event(), threading.Event()

    def wait(*_: object) -> None:
        within.set()
        go_on.wait(30)

    monkeypatch.setattr(pulling, "_check_accepted", wait)
    first = threading.Thread(target=pulled, args=(tmp_path,))
    first.start()
    assert within.wait(30)
    with pytest.raises(ResourceError, match="another pull works in"):
        pulled(tmp_path)
    go_on.set()
    first.join()


def test_the_real_images_come_as_they_are(picsellia: FakePicsellia, shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "fingers-315"
    picsellia.page = 100
    version = picsellia.version().read_export(folder)
    faults: list[Fault] = ["cut", 500, 429, "too_long", "close"]
    for asset in version.assets[::63]:  # Each stumbles in all ways, and comes at the sixth attempt, the last.
        for kind in faults:
            picsellia.fault(f"/storage/{asset['data']['object_name']}", kind)
    settings = DatasetConfig.model_validate(
        {
            "source": "picsellia",
            "picsellia": {"dataset": "fingers", "version": "v1"},
            "classes": ["0", "1", "2", "3", "4", "5", "unknown"],
            "unknown_labels": "drop",
        }
    )
    dataset = prepare(settings, tmp_path)
    (pulled_folder,) = (tmp_path / "raw").iterdir()
    assert files(pulled_folder) == files(folder)
    expected = json.loads((folder / "expected.json").read_text())
    assert {key: dataset.report[key] for key in expected} == expected


def test_the_command_tells_what_came(
    version: FakeVersion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HANDFUL_HOME", str(tmp_path / "var"))
    with pytest.raises(SystemExit) as end:
        main(["data", "pull", "fingers", "v1", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert end.value.code in {0, None}
    assert (found["fetched"], found["counts"]["assets"]) == (12, 12)
    assert Path(found["folder"]).parent == tmp_path / "var" / "raw"
    with pytest.raises(SystemExit):
        main(["data", "pull", "fingers", "v1"])
    assert "fetched 0 files (0.0 MB), removed 0; 12 were here already" in capsys.readouterr().err
    (tmp_path / "yolo.yaml").write_text("dataset: {source: yolo, path: x}")
    with pytest.raises(SystemExit) as end:
        main(["data", "pull", "--config", str(tmp_path / "yolo.yaml")])
    assert end.value.code == 2
    assert "has the source yolo" in capsys.readouterr().err
