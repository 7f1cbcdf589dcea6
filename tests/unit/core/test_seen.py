"""The list of images that a model has seen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fakes.packages import build_package
from handful_core.errors import PackageError
from handful_core.package import Package, SeenImages, SeenList, open_package, seen_by, write_package, zip_package
from handful_core.package import seen as seen_module
from handful_core.package.archive import describe_files
from handful_core.package.seen import NO_HASH, read_seen

A, B, C = "a" * 64, "b" * 64, "0" * 63 + "c"
SHA256 = st.text("0123456789abcdef", min_size=64, max_size=64)
PHASHES = st.dictionaries(SHA256, st.integers(0, 2**64 - 1) | st.just(NO_HASH), max_size=20)


def with_list(folder: Path, seen: SeenImages) -> Package:
    package = build_package(folder)
    listed = seen.write(folder)
    return write_package(folder, package.manifest.model_copy(update={"seen": listed, "files": describe_files(folder)}))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(phashes=PHASHES, complete=st.booleans())
def test_a_list_survives_being_written_and_read(tmp_path: Path, phashes: dict[str, int], complete: bool) -> None:
    seen = SeenImages(phashes, complete)
    assert read_seen(tmp_path, seen.write(tmp_path)) == seen


def test_a_list_is_one_line_an_image_in_the_order_of_the_hashes(tmp_path: Path) -> None:
    listed = SeenImages({B: 255, A: NO_HASH}).write(tmp_path)
    assert (tmp_path / "seen.csv").read_bytes() == f"sha256,phash\n{A},\n{B},00000000000000ff\n".encode()
    assert listed == SeenList(file="seen.csv", images=2, complete=True)


def test_the_lists_of_two_models_are_complete_if_both_are() -> None:
    assert SeenImages({A: 1}) | SeenImages({B: 2}) == SeenImages({A: 1, B: 2}, complete=True)
    assert not (SeenImages({A: 1}) | SeenImages(complete=False)).complete


def test_a_package_carries_its_list_through_a_zip(tmp_path: Path) -> None:
    package = with_list(tmp_path / "package", SeenImages({A: 7}, complete=False))
    with open_package(zip_package(package, tmp_path / "package.zip")) as unpacked:
        assert seen_by(unpacked) == SeenImages({A: 7}, complete=False)


@pytest.mark.parametrize("version", ["1.0", "1.1", "1.2"])
def test_nothing_is_known_of_a_package_without_a_list(tmp_path: Path, version: str) -> None:
    package = build_package(tmp_path / "package")
    content = json.loads((package.root / "manifest.json").read_bytes()) | {"schema_version": version}
    del content["seen"]
    (package.root / "manifest.json").write_text(json.dumps(content))
    with open_package(package.root) as opened:
        assert seen_by(opened) == SeenImages({}, complete=False)


def test_the_manifest_has_to_list_the_file(tmp_path: Path) -> None:
    package = build_package(tmp_path / "package")
    update = {"seen": SeenList(images=0, complete=True)}
    with pytest.raises(PackageError, match=r"files does not list seen\.csv"):
        write_package(package.root, package.manifest.model_copy(update=update))


@pytest.mark.parametrize("name", ["../seen.csv", "/etc/passwd", "a\\b.csv", ""])
def test_a_list_lies_in_its_package(tmp_path: Path, name: str) -> None:
    package = build_package(tmp_path / "package")
    content = json.loads((package.root / "manifest.json").read_bytes())
    content["seen"] = {"file": name, "images": 0, "complete": True}
    (package.root / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(PackageError, match="is not a plain relative path"), open_package(package.root):
        pass


@pytest.mark.parametrize(
    ("content", "images", "words"),
    [
        (b"", 0, "does not begin with sha256,phash"),
        (b"sha256;phash\n", 0, "does not begin with sha256,phash"),
        (b"\xef\xbb\xbfsha256,phash\n", 0, "is not a list of hashes"),
        (b"sha256,phash\n" + b"a" * 63 + b",\n", 1, "no sha256 and perceptual hash on line 2"),
        (b"sha256,phash\n" + b"A" * 64 + b",\n", 1, "on line 2"),
        (b"sha256,phash\n" + b"a" * 64 + b"\n", 1, "on line 2"),
        (b"sha256,phash\n" + b"a" * 64 + b",0\n", 1, "on line 2"),
        (b"sha256,phash\n" + b"a" * 64 + b",0123456789abcdef0\n", 1, "on line 2"),
        (b"sha256,phash\n" + b"a" * 64 + b",-123456789abcdef\n", 1, "on line 2"),
        (b"sha256,phash\n" + b"a" * 64 + b",,\n", 1, "on line 2"),
        (b"sha256,phash\n" + b"a" * 64 + b",\n\n", 2, "on line 3"),
        (b"sha256,phash\n" + b"a" * 64 + b",\n", 2, "lists 1 images on 1 lines, the manifest says 2"),
        (b"sha256,phash\n" + (b"a" * 64 + b",\n") * 2, 2, "lists 1 images on 2 lines, the manifest says 2"),
        (b"sha256,phash\n" + "é".encode() * 32 + b",\n", 1, "is not a list of hashes"),
        (b"\x00" * 1000, 0, "does not begin"),
    ],
)
def test_a_list_is_hostile_until_it_is_checked(tmp_path: Path, content: bytes, images: int, words: str) -> None:
    (tmp_path / "seen.csv").write_bytes(content)
    with pytest.raises(PackageError, match=words) as refused:
        read_seen(tmp_path, SeenList(images=images, complete=True))
    assert "\n" not in str(refused.value)


def test_line_ends_of_windows_are_line_ends(tmp_path: Path) -> None:
    (tmp_path / "seen.csv").write_bytes(f"sha256,phash\r\n{A},\r\n{C},00000000000000ff".encode())
    assert read_seen(tmp_path, SeenList(images=2, complete=True)).phashes == {A: NO_HASH, C: 255}


def test_a_list_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = SeenImages({A: 1}).write(tmp_path)
    monkeypatch.setattr(seen_module, "_MAX_BYTES", 50)
    with pytest.raises(PackageError, match="is larger than"):
        read_seen(tmp_path, listed)


def test_a_list_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match=r"seen\.csv, .*cannot be read"):
        read_seen(tmp_path, SeenList(images=0, complete=True))
