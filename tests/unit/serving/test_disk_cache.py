from __future__ import annotations

import json
import os
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fakes.packages import build_package, damage
from handful_core.errors import PackageError, ResourceError
from handful_core.package.archive import read_folder
from handful_core.registry import Version
from handful_serving.adapters.disk_cache import DiskCache
from handful_serving.domain.model_ref import ModelVersion
from handful_serving.domain.ports import CacheEntry

BORN = datetime(2026, 11, 21, 12, 0, 0, 123000, UTC)


def version(number: int = 1, name: str = "fingers", **fields: object) -> Version:
    return Version(
        name,
        number,
        **{"source": f"models:/m-{number}", "created": BORN, "run_id": "r", **fields},  # type: ignore[arg-type]
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def cache(root: Path) -> DiskCache:
    return DiskCache(root, keep=2)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return build_package(tmp_path / "package").root


def fetch(cache: DiskCache, package: Path, record: Version) -> CacheEntry:
    with cache.incoming() as folder:
        shutil.copytree(package, folder, dirs_exist_ok=True)
        return cache.install(folder, record)


def test_a_package_is_found_again(cache: DiskCache, root: Path, package: Path) -> None:
    record = version(tags={"metrics.mAP50": "0.5"})
    entry = fetch(cache, package, record)
    assert (entry.folder / "model.onnx").read_bytes() == (package / "model.onnx").read_bytes()
    assert DiskCache(root, keep=2).find(record) == entry, "by another process, too"
    assert cache.newest(ModelVersion("fingers", 1)) == entry
    assert cache.entries() == [entry]


def test_the_folder_is_named_by_model_version_and_digest(cache: DiskCache, root: Path, package: Path) -> None:
    import hashlib

    digest = hashlib.sha256((package / "manifest.json").read_bytes()).hexdigest()
    assert fetch(cache, package, version(3)).folder == root / "fingers" / f"3-{digest[:16]}" / "package"


@pytest.mark.parametrize("other", [{"created": None}, {"run_id": "x"}, {"source": "models:/m-9"}])
def test_a_version_of_a_registry_begun_anew_is_another(
    cache: DiskCache, package: Path, other: dict[str, object]
) -> None:
    entry = fetch(cache, package, version())
    assert cache.find(version(**other)) is None
    assert cache.newest(ModelVersion("fingers", 1)) == entry, "but it has to do while the registry is away"


def test_the_same_package_for_such_a_version_takes_its_place(cache: DiskCache, package: Path) -> None:
    old, new = version(), version(created=datetime(2026, 12, 1, tzinfo=UTC))
    assert fetch(cache, package, old).folder == fetch(cache, package, new).folder
    assert cache.find(old) is None
    assert cache.find(new) is not None
    assert len(cache.entries()) == 1


def test_aliases_and_tags_do_not_make_another_version(cache: DiskCache, package: Path) -> None:
    fetch(cache, package, version())
    assert cache.find(version(aliases=("champion",), tags={"gate": "passed"})) is not None


@pytest.mark.parametrize("kind", ["hash", "missing", "manifest", "schema_version"])
def test_a_bad_package_is_not_installed(cache: DiskCache, root: Path, package: Path, kind: str) -> None:
    damage(package, kind)  # type: ignore[arg-type]
    with pytest.raises(PackageError):
        fetch(cache, package, version())
    assert cache.entries() == []
    assert list((root / ".incoming").iterdir()) == []


def test_a_process_that_is_killed_leaves_nothing_that_counts(cache: DiskCache, root: Path, package: Path) -> None:
    half = root / ".incoming" / "tmpdead"
    shutil.copytree(package, half / "package")
    assert cache.entries() == []
    DiskCache(root, keep=2)
    assert half.exists(), "it may be another process's download"
    os.utime(half, (time.time() - 7200,) * 2)
    DiskCache(root, keep=2)
    assert not half.exists()


def test_old_versions_go_but_those_in_use_stay(cache: DiskCache, root: Path, package: Path) -> None:
    for number in range(1, 6):
        entry = fetch(cache, package, version(number))
        os.utime(entry.folder.parent / "origin.json", (number, number))
    fetch(cache, package, version(1, "leaves"))
    cache.prune("fingers", frozenset({1}))
    kept = sorted((entry.model_version.name, entry.model_version.version) for entry in cache.entries())
    assert kept == [("fingers", 1), ("fingers", 4), ("fingers", 5), ("leaves", 1)]


def test_a_discarded_package_is_gone(cache: DiskCache, package: Path) -> None:
    entry = fetch(cache, package, version())
    cache.discard(entry)
    assert cache.find(version()) is None
    cache.discard(entry)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"name": "fingers"}', '{"created": 3}'])
def test_an_origin_that_cannot_be_read_is_no_entry(cache: DiskCache, package: Path, content: str) -> None:
    entry = fetch(cache, package, version())
    (entry.folder.parent / "origin.json").write_text(content)
    assert cache.entries() == []
    assert cache.find(version()) is None


@pytest.mark.parametrize("name", ["..", ".", ".incoming", "a b", "it's", "ü", "a.b", "%2E", "CON"])
def test_any_name_has_a_folder_of_its_own(cache: DiskCache, root: Path, package: Path, name: str) -> None:
    entry = fetch(cache, package, version(name=name))
    assert entry.folder.parent.parent.parent == root
    assert entry.folder.parent.parent.name not in {"..", ".", ".incoming"}
    assert cache.find(version(name=name)) == entry
    assert cache.find(version(name=name + "x")) is None


def test_champions_are_remembered(cache: DiskCache, root: Path) -> None:
    assert cache.champions() == {}
    cache.save_champions({"fingers": 3, "it's": 1})
    cache.save_champions({"fingers": 4})
    assert DiskCache(root, keep=2).champions() == {"fingers": 4}
    assert list((root / ".incoming").iterdir()) == []


@pytest.mark.parametrize("content", ["", "{", "[]", "3", '{"fingers": "x"}', '{"fingers": null}'])
def test_a_note_that_cannot_be_read_is_no_note(cache: DiskCache, root: Path, content: str) -> None:
    (root / "champions.json").write_text(content)
    assert cache.champions() == {}
    cache.save_champions({"fingers": 1})
    assert json.loads((root / "champions.json").read_text()) == {"fingers": 1}


def test_a_failed_note_leaves_the_old_one(cache: DiskCache, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.save_champions({"fingers": 1})

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        cache.save_champions({"fingers": 2})
    assert cache.champions() == {"fingers": 1}


def test_a_folder_that_cannot_be_written_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match=r"cannot be written .*HANDFUL_SERVING_CACHE_DIR"):
        DiskCache(tmp_path / "file" / "cache", keep=2)


def test_a_package_that_is_half_gone_is_replaced(cache: DiskCache, package: Path) -> None:
    """A process that was killed while it removed a package may have left some of it."""
    entry = fetch(cache, package, version())
    (entry.folder.parent / "origin.json").unlink()
    (entry.folder / "model.onnx").unlink()
    assert cache.find(version()) is None
    again = fetch(cache, package, version())
    assert read_folder(again.folder).digest == read_folder(package).digest
    assert cache.find(version()) is not None
