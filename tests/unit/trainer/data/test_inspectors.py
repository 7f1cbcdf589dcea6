from __future__ import annotations

import logging
from pathlib import Path

import pytest

from fakes.exports import encoded, picture
from handful_trainer.data import inspectors, scan
from handful_trainer.data.images import ImageFacts, inspect_images


@pytest.fixture
def paths(tmp_path: Path) -> list[Path | None]:
    contents = [*(encoded(picture(seed)) for seed in range(4)), encoded(picture(9))[:-300], b"", b"<html></html>"]
    files = [tmp_path / f"{number}.jpg" for number in range(len(contents))]
    for file, content in zip(files, contents, strict=True):
        file.write_bytes(content)
    return [*files, None, tmp_path / "gone.jpg"]


def test_another_process_finds_the_same_and_its_end_is_no_harm(
    paths: list[Path | None], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    expected = inspect_images(paths)
    here = []

    def inspect(some: list[Path | None]) -> list[ImageFacts]:
        here.append(some)
        return inspect_images(some)

    monkeypatch.setattr(inspectors, "inspect_images", inspect)
    with inspectors.Inspectors(2) as both:
        assert [both.inspect(paths), both.inspect(paths)] == [expected, expected]
        assert len(here) == 1  # By turns: this process, then the other.
        (other,) = both._processes
        other.kill()
        with caplog.at_level(logging.WARNING):
            assert [both.inspect(paths) for _ in range(4)] == [expected] * 4
    assert len(here) == 5
    assert len(caplog.records) == 1
    assert other.returncode is not None


def test_without_another_process_this_one_does_all(
    paths: list[Path | None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "no-python"))
    with inspectors.Inspectors(3) as alone:
        assert alone.inspect(paths) == inspect_images(paths)


def test_many_images_are_shared_out_in_order(paths: list[Path | None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "_MANY", 1)
    monkeypatch.setattr(scan, "_CHUNK", 2)
    monkeypatch.setattr(scan, "available_cpus", lambda: 2)
    done: list[int] = []
    assert list(scan.scan(paths, done.append)) == inspect_images(paths)
    assert sum(done) == len(paths)
