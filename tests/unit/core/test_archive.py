from __future__ import annotations

import json
import shutil
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from fakes.packages import build_package, damage
from handful_core.errors import PackageError, ResourceError
from handful_core.package import Package, open_package, zip_package
from handful_core.package import archive as archive_module
from handful_core.package.archive import sha256_of
from handful_core.package.errors import (
    DamagedPackageError,
    ManifestError,
    MissingPackageError,
    SchemaVersionError,
)


@pytest.fixture
def package(tmp_path: Path) -> Package:
    return build_package(tmp_path / "package")


def opened(path: Path) -> Package:
    with open_package(path) as package:
        return package


def test_a_folder_and_its_zip_hold_the_same_package(package: Package, tmp_path: Path) -> None:
    archive = zip_package(package, tmp_path / "package.zip")
    with open_package(archive) as unpacked, open_package(package.root) as folder:
        assert unpacked.manifest == folder.manifest
        assert unpacked.digest == folder.digest
        assert unpacked.model_path.read_bytes() == folder.model_path.read_bytes()


def test_the_unpacked_files_go_away(package: Package, tmp_path: Path) -> None:
    with open_package(zip_package(package, tmp_path / "package.zip")) as unpacked:
        root = unpacked.root
        assert root.is_dir()
    assert not root.exists()


def test_the_digest_changes_with_any_file(tmp_path: Path) -> None:
    soft, sharp = (build_package(tmp_path / str(s), sharpness=s) for s in (6.0, 8.0))
    assert soft.digest != sharp.digest
    assert soft.digest == sha256_of(soft.root / "manifest.json")


@pytest.mark.parametrize(
    ("kind", "error", "words"),
    [
        ("hash", DamagedPackageError, "model.onnx of the model package .* differs from the hash"),
        ("missing", DamagedPackageError, "model.onnx is missing"),
        ("manifest", ManifestError, "classes: Field required"),
        ("schema_version", SchemaVersionError, "schema version '2.0', this Handful reads 1.x"),
    ],
)
def test_a_bad_package_is_refused(package: Package, kind: str, error: type[PackageError], words: str) -> None:
    damage(package.root, kind)  # type: ignore[arg-type]
    with pytest.raises(error, match=words):
        opened(package.root)


def test_a_file_of_the_right_hash_but_another_size_is_refused(package: Package) -> None:
    manifest = json.loads((package.root / "manifest.json").read_text())
    manifest["files"]["model.onnx"]["size"] += 1
    (package.root / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DamagedPackageError):
        opened(package.root)


@pytest.mark.parametrize("version", [None, 1, "", "one", "10.0", "0.9"])
def test_other_major_versions_are_refused(package: Package, version: object) -> None:
    manifest = json.loads((package.root / "manifest.json").read_text())
    manifest["schema_version"] = version
    (package.root / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(SchemaVersionError):
        opened(package.root)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 200_000])
def test_a_manifest_that_is_no_json_is_refused(package: Package, content: bytes) -> None:
    (package.root / "manifest.json").write_bytes(content)
    with pytest.raises(ManifestError, match="is not JSON"):
        opened(package.root)


@pytest.mark.parametrize("content", ["[]", "3", "null", '"1.0"'])
def test_a_manifest_that_is_no_object_is_refused(package: Package, content: str) -> None:
    (package.root / "manifest.json").write_text(content)
    with pytest.raises(SchemaVersionError):
        opened(package.root)


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(MissingPackageError, match="gone does not exist"):
        opened(tmp_path / "gone")
    with pytest.raises(MissingPackageError, match=r"has no manifest\.json"):
        opened(tmp_path)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda root: (root / "manifest.json").unlink(),
        lambda root: (root / "manifest.json").write_text("{"),
        lambda root: (root / "manifest.json").write_text('{"schema_version": "99"}'),
        lambda root: (root / "manifest.json").write_text('{"schema_version": "1.0"}'),
        lambda root: (root / "model.onnx").unlink(),
        lambda root: (root / "model.onnx").write_bytes(b"other"),
        lambda root: (root / "more.txt").write_text("more"),
    ],
    ids=["no manifest", "no JSON", "another version", "invalid", "a file less", "changed", "a file more"],
)
def test_errors_name_the_zip_file_that_was_named(
    package: Package, tmp_path: Path, spoil: Callable[[Path], object]
) -> None:
    spoil(package.root)
    mine = shutil.make_archive(str(tmp_path / "mine"), "zip", package.root)
    with pytest.raises(PackageError) as found:
        opened(Path(mine))
    assert mine in found.value.message
    assert "handful-package-" not in str(found.value)


def member(name: str, mode: int = stat.S_IFREG | 0o644) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    info.create_system = 3
    return info


@pytest.mark.parametrize(
    "name", ["../evil", "a/../../evil", "/etc/evil", "a\\..\\evil", "C:evil", "..", "a/b/../../../evil"]
)
def test_names_that_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    archive = tmp_path / "deep" / "evil.zip"
    archive.parent.mkdir()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr(member(name), b"evil")
    with pytest.raises(DamagedPackageError, match="unsafe name"):
        opened(archive)
    assert not list(tmp_path.rglob("evil"))


def test_links_are_refused(tmp_path: Path) -> None:
    archive = tmp_path / "link.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr(member("manifest.json", stat.S_IFLNK | 0o777), "/etc/passwd")
    with pytest.raises(DamagedPackageError, match="unsafe name"):
        opened(archive)


def test_a_file_that_is_also_a_folder_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "odd.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a", b"1")
        file.writestr("a/b", b"2")
    with pytest.raises(DamagedPackageError, match="unsafe name 'a'"):
        opened(archive)


def test_what_would_fill_the_disk_is_refused(package: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = zip_package(package, tmp_path / "package.zip")
    monkeypatch.setattr(archive_module, "MAX_PACKAGE_BYTES", 100)
    with pytest.raises(DamagedPackageError, match="more than 4 GiB"):
        opened(archive)


def zeros(count: int, size: int) -> Callable[[Path], None]:
    """A ZIP file of so many files of so many zeros."""

    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            for number in range(count):
                file.writestr(f"{number}.bin", bytes(size))

    return write


def test_a_bomb_that_lies_about_its_size_is_refused_when_it_is_reached(package: Package, tmp_path: Path) -> None:
    """8 MB of zeros in 8 KB, which the directory calls 1,000 bytes."""
    archive = tmp_path / "bomb.zip"
    zeros(1, 8 << 20)(archive)
    lied = archive.read_bytes().replace((8 << 20).to_bytes(4, "little"), (1000).to_bytes(4, "little"))
    archive.write_bytes(lied)
    assert len(lied) < 10_000
    with pytest.raises(DamagedPackageError, match="is not a whole ZIP file"):
        opened(archive)


def test_more_files_than_a_package_has_are_refused(tmp_path: Path) -> None:
    zeros(archive_module.MAX_PACKAGE_FILES + 1, 0)(tmp_path / "many.zip")
    with pytest.raises(DamagedPackageError, match="more than 1000 files"):
        opened(tmp_path / "many.zip")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_comes_twice_is_refused(package: Package, tmp_path: Path) -> None:
    """One reader might check the first and use the second."""
    archive = zip_package(package, tmp_path / "package.zip")
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr("model.onnx", b"another")
    with pytest.raises(DamagedPackageError, match="one name twice"):
        opened(archive)


def test_a_disk_without_room_is_named_before_it_is_full(
    package: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = zip_package(package, tmp_path / "package.zip")
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10))
    with pytest.raises(ResourceError, match="0 MB free: make room there, or set TMPDIR"):
        opened(archive)


@pytest.mark.parametrize("name", ["extra.py", "deep/er/extra", ".hidden", "weights.pt"])
def test_a_file_that_the_manifest_does_not_list_is_refused(package: Package, tmp_path: Path, name: str) -> None:
    (package.root / name).parent.mkdir(parents=True, exist_ok=True)
    (package.root / name).write_bytes(b"nobody vouches for this")
    with pytest.raises(DamagedPackageError, match=f"holds '{name}', which its manifest does not list"):
        opened(package.root)
    archive = zip_package(package, tmp_path / "package.zip")
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr(name, b"nobody vouches for this")
    with pytest.raises(DamagedPackageError, match="which its manifest does not list"):
        opened(archive)


@pytest.mark.parametrize("target", ["/etc/hostname", "/etc", "nowhere"])
def test_a_link_that_the_manifest_does_not_list_is_refused(package: Package, target: str) -> None:
    (package.root / "link").symlink_to(target)
    with pytest.raises(DamagedPackageError, match="holds 'link', which its manifest does not list"):
        opened(package.root)


def test_empty_folders_hurt_nobody(package: Package) -> None:
    (package.root / "empty").mkdir()
    assert opened(package.root).manifest == package.manifest


def test_a_manifest_of_gigabytes_is_not_read(package: Package) -> None:
    with (package.root / "manifest.json").open("r+b") as file:
        file.truncate(20 << 30)  # A sparse file: it takes no room.
    with pytest.raises(ManifestError, match="is larger than 16 MiB"):
        opened(package.root)


def broken_in_the_middle(data: bytes) -> bytes:
    return data[: len(data) // 2]


def broken_inside(data: bytes) -> bytes:
    """Flip bits in the first member's content: its checksum fails."""
    return data[:200] + bytes(b ^ 0xFF for b in data[200:240]) + data[240:]


def encrypted(data: bytes) -> bytes:
    """Set the flag of encryption in every central header."""
    parts = data.split(b"PK\x01\x02")
    return b"PK\x01\x02".join([parts[0], *(p[:4] + bytes([p[4] | 1]) + p[5:] for p in parts[1:])])


def oddly_compressed(data: bytes) -> bytes:
    parts = data.split(b"PK\x01\x02")
    return b"PK\x01\x02".join([parts[0], *(p[:6] + b"\x0e\x00" + p[8:] for p in parts[1:])])


@pytest.mark.parametrize("spoil", [broken_in_the_middle, broken_inside, encrypted, oddly_compressed, lambda _: b""])
def test_a_broken_archive_is_refused(package: Package, tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    archive = zip_package(package, tmp_path / "package.zip")
    archive.write_bytes(spoil(archive.read_bytes()))
    with pytest.raises(DamagedPackageError):
        opened(archive)


def test_a_deflated_archive_that_breaks_is_refused(package: Package, tmp_path: Path) -> None:
    archive = tmp_path / "package.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for name in ["manifest.json", *package.manifest.files]:
            file.write(package.root / name, name)
    assert opened(archive).manifest == package.manifest
    data = bytearray(archive.read_bytes())
    data[60:90] = b"\xff" * 30
    archive.write_bytes(data)
    with pytest.raises(DamagedPackageError):
        opened(archive)
