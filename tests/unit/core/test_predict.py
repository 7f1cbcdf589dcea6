"""`handful predict` with folders, patterns, videos, and files that cannot be read."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest

import handful_core.client
from fakes.packages import build_package, encode, filled, picture
from handful_core.cli.main import main
from handful_core.cli.pictures import find
from handful_core.client import ServingClient
from handful_core.errors import DataError
from handful_core.vision.decode import decode_image
from handful_core.vision.video import frames

Run = Callable[..., tuple[int, str, str]]
HANDS = {number: encode(picture({(2, 3): str(number)})) for number in range(1, 6)}


@pytest.fixture
def handful(capsys: pytest.CaptureFixture[str]) -> Run:
    def running(*words: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return running


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return build_package(tmp_path / "package").root


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Images in a folder with a subfolder, and what else lies in folders."""
    folder = tmp_path / "photos"
    for name, content in {
        "b.png": HANDS[2], "a.PNG": HANDS[1], "more/b.png": HANDS[3], "notes.txt": b"notes", "a.txt": b"0 .5 .5 .1 .1",
        ".hidden.png": HANDS[4], "__MACOSX/b.png": b"x", "@eaDir/b.png/thumb.jpg": b"x",
    }.items():  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def write_video(path: Path, numbers: list[int], codec: str = "MJPG") -> Path:
    """Ten pictures a second, each with a number."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 10, (64, 64))
    assert writer.isOpened()
    for number in numbers:
        writer.write(picture({(2, 3): str(number)}))
    writer.release()
    return path


def lines(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def test_a_folder_is_read_with_its_subfolders(handful: Run, package: Path, photos: Path) -> None:
    status, out, err = handful("predict", photos, "--package", package, "--json")
    assert (status, err) == (0, "")
    named = [(answer["file"], answer["count"]) for answer in lines(out)]
    assert named == [(str(photos / name), count) for name, count in [("a.PNG", 1), ("b.png", 2), ("more/b.png", 3)]]


@pytest.mark.parametrize(
    ("pattern", "counts"), [("*.png", [2]), ("**/*.png", [2, 3]), ("?.*", [1, 2]), ("[b]*", [2]), ("*", [1, 2, 3])]
)
def test_a_pattern_is_understood(handful: Run, package: Path, photos: Path, pattern: str, counts: list[int]) -> None:
    status, out, _ = handful("predict", photos / pattern, "--package", package, "--json")
    assert (status, [answer["count"] for answer in lines(out)]) == (0, counts)


def test_a_file_may_be_named_like_a_pattern(handful: Run, package: Path, tmp_path: Path) -> None:
    (tmp_path / "hand[1].png").write_bytes(HANDS[5])
    status, out, _ = handful("predict", tmp_path / "hand[1].png", "--package", package, "--json")
    assert (status, lines(out)[0]["count"]) == (0, 5)


def test_one_bad_file_costs_only_its_own_answer(handful: Run, package: Path, photos: Path) -> None:
    (photos / "b.png").write_bytes(HANDS[2][:100])
    status, out, err = handful("predict", photos, "--package", package, "--json")
    answers = lines(out)
    assert (status, [answer.get("count") for answer in answers]) == (3, [1, None, 3])
    assert answers[1]["error"] == err.removeprefix("error: ").strip()
    assert f"{photos / 'b.png'}: the PNG image cannot be decoded" in err
    (photos / "more" / "b.png").unlink()
    status, out, err = handful("predict", photos, photos / "gone.png", photos / "*.gif", "--package", package)
    assert (status, err.count("\n")) == (3, 4)
    assert "3 failed, and 1 have an answer" in err
    assert "gone.png cannot be read (No such file or directory)" in err
    assert "no image and no video matches" in err
    assert "1 0.95" in out


def test_an_empty_folder_is_said(handful: Run, package: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    status, _, err = handful("predict", tmp_path / "empty", "--package", package)
    assert status == 3
    assert "empty has no image and no video" in err


@pytest.mark.parametrize(("name", "codec"), [("clip.avi", "MJPG"), ("clip.mp4", "mp4v"), ("clip", "MJPG")])
def test_a_videos_frames_are_answered(handful: Run, package: Path, tmp_path: Path, name: str, codec: str) -> None:
    made = write_video(tmp_path / f"made{Path(name).suffix or '.avi'}", [1, 2, 3, 4, 5], codec)
    clip = made.rename(tmp_path / name)
    status, out, _ = handful("predict", clip, "--package", package, "--json", "--every", 2)
    found = [(answer["frame"], answer["seconds"], answer["count"]) for answer in lines(out)]
    assert (status, found) == (0, [(0, 0.0, 1), (2, 0.2, 3), (4, 0.4, 5)])
    _, out, _ = handful("predict", clip, "--package", package)
    assert " at 0.40 s" in out


def test_a_video_that_breaks_off_is_said_after_its_frames(handful: Run, package: Path, tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.avi", [1] * 40)
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    status, out, err = handful("predict", clip, "--package", package, "--json")
    answers = lines(out)
    assert status == 3
    assert len(answers) > 5
    assert "breaks off after" in answers[-1]["error"]
    assert "of 40 frames" in err


@pytest.mark.parametrize(
    "content",
    [b"\0\0\0\x18ftypmp42" + bytes(100), b"RIFF\0\0\0\0AVI " + bytes(100), b"\x1a\x45\xdf\xa3" + bytes(100)],
)
def test_a_damaged_video_is_said(tmp_path: Path, content: bytes) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(content)
    with pytest.raises(DataError, match=r"clip\.mp4 (cannot be read as a video|breaks off)"):
        list(find([clip])[0].pictures(1))


def test_a_playlist_is_no_video(handful: Run, package: Path, tmp_path: Path) -> None:
    """FFmpeg would open what it names."""
    write_video(tmp_path / "secret.avi", [1])
    (tmp_path / "clip.mp4").write_text("#EXTM3U\n#EXTINF:1,\nsecret.avi\n")
    status, _, err = handful("predict", tmp_path / "clip.mp4", "--package", package)
    assert status == 3
    assert "the file is not an image" in err


def test_a_colon_in_a_name_is_no_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = write_video(tmp_path / "clip.avi", [1, 2]).rename(tmp_path / "concat:clip%02d.avi")
    monkeypatch.chdir(tmp_path)
    assert [frame.number for frame in frames(Path(clip.name))] == [0, 1]


def test_csv_has_a_row_for_each_object(handful: Run, package: Path, tmp_path: Path) -> None:
    (tmp_path / "two.png").write_bytes(encode(picture({(0, 0): "1", (2, 3): "2"})))
    (tmp_path / "none.png").write_bytes(encode(picture({})))
    (tmp_path / "bad, very.png").write_bytes(b"bad")
    status, out, _ = handful(
        "predict",
        tmp_path / "two.png",
        tmp_path / "none.png",
        tmp_path / "bad, very.png",
        "--package",
        package,
        "--csv",
    )
    rows = list(csv.DictReader(io.StringIO(out)))
    assert status == 3
    assert [(Path(row["file"]).name, row["count"], row["name"], row["left"], row["bottom"]) for row in rows] == [
        ("two.png", "3", "1", "0.0", "8.0"),
        ("two.png", "3", "2", "16.0", "32.0"),
        ("none.png", "0", "", "", ""),
        ("bad, very.png", "", "", "", ""),
    ]
    assert "is not an image" in rows[3]["error"]
    leaves = build_package(tmp_path / "leaves", "logits", limits=True).root
    (tmp_path / "leaf.png").write_bytes(encode(filled("3")))
    _, out, _ = handful("predict", tmp_path / "leaf.png", "--package", leaves, "--csv")
    (row,) = csv.DictReader(io.StringIO(out))
    assert (row["name"], row["prediction_set"], row["uncertain"], row["top"]) == ("3", "3", "False", "")
    assert float(row["score"]) > 0.9


def test_pictures_are_saved_with_what_was_found(handful: Run, package: Path, photos: Path, tmp_path: Path) -> None:
    (photos / "b.jpg").write_bytes(encode(picture({(0, 0): "4"})))
    clip = write_video(tmp_path / "clip.avi", [1, 2])
    saved = tmp_path / "saved"
    status, out, _ = handful("predict", photos, photos / "b.png", clip, "--package", package, "--save", saved, "--json")
    assert status == 0
    names = {path.relative_to(saved).as_posix() for path in saved.rglob("*.jpg")}
    assert names == {
        "a.jpg", "b.jpg", "b-2.jpg", "b-3.jpg", "more/b.jpg", "clip.avi/frame-000000.jpg", "clip.avi/frame-000001.jpg",
    }  # fmt: skip
    answer = lines(out)[0]
    drawn, plain = decode_image(Path(answer["saved"]).read_bytes()), decode_image(HANDS[1])
    assert drawn.shape == plain.shape
    assert np.abs(drawn[16:33, 24:33].astype(int) - plain[16:33, 24:33]).max() > 60, "a box is in the picture"


def test_nothing_is_written_over(handful: Run, package: Path, photos: Path) -> None:
    before = (photos / "b.png").read_bytes()
    for folder in (photos, photos / "b.png"):
        status, _, err = handful("predict", photos, "--package", package, "--save", folder)
        assert status == 2
        assert "name a new folder" in err
    assert (photos / "b.png").read_bytes() == before


def test_two_formats_are_refused(handful: Run, package: Path, photos: Path) -> None:
    assert handful("predict", photos, "--package", package, "--json", "--csv")[0] == 2


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[httpx.Response]:
    """What a server answers, one after another."""
    answers: list[httpx.Response] = []

    class Faked(ServingClient):
        def __init__(self, *words: Any, **named: Any) -> None:
            super().__init__(*words, **named)
            transport = httpx.MockTransport(lambda _: answers.pop(0))
            self._http = httpx.Client(base_url=self.address, transport=transport)

    monkeypatch.setattr(handful_core.client, "ServingClient", Faked)
    return answers


ANSWER = {"model": "fingers", "version": 3, "task": "detect", "count": 5, "detections": []}
answered = partial(httpx.Response, 200, json=ANSWER)


@pytest.mark.parametrize("status", [413, 415, 422, 500])
def test_what_a_server_cannot_use_costs_only_its_own_answer(
    handful: Run, served: list[httpx.Response], photos: Path, status: int
) -> None:
    served += [answered(), httpx.Response(status, json={"detail": "it is damaged"}), answered()]
    code, out, err = handful("predict", photos, "--json")
    assert [answer.get("count") for answer in lines(out)] == [5, None, 5]
    assert code == (1 if status == 500 else 3)
    assert f"{photos / 'b.png'}: it is damaged" in err


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (404, "unknown-model", 7),
        (400, "bad-parameter", 2),
        (401, "no-key", 2),
        (403, "forbidden", 2),
        (503, "unavailable", 5),
    ],
)
def test_what_fails_for_every_picture_is_said_once(
    handful: Run, served: list[httpx.Response], photos: Path, status: int, kind: str, code: int
) -> None:
    served += [httpx.Response(status, json={"type": f"urn:handful:problem:{kind}", "detail": "no"}), answered()]
    ended, out, err = handful("predict", photos, "--json")
    assert (ended, out, err.count("\n"), len(served)) == (code, "", 1, 1)


def test_a_busy_server_is_asked_again(handful: Run, served: list[httpx.Response], photos: Path) -> None:
    later = {"Retry-After": "0"}
    served += [
        httpx.Response(429, headers=later),
        httpx.Response(503, headers=later),
        answered(),
        answered(),
        answered(),
    ]
    code, out, _ = handful("predict", photos, "--json")
    assert (code, len(lines(out)), served) == (0, 3, [])
