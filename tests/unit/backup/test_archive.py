"""A backup's file: whole, damaged, hostile, locked."""

from __future__ import annotations

import io
import json
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handful_backup.archive import BackupReader, BackupWriter, Manifest
from handful_backup.archive.names import artifact_member, is_safe, parse_artifact
from handful_backup.errors import DamagedBackupError
from handful_core.errors import ConfigError
from support.backups import FILES, NOISE, RUNS, rewrite, write_backup

_SECRET = "correct horse battery"


class _Pipe(io.RawIOBase):
    """Standard output: it can be written on, and nothing else."""

    def __init__(self) -> None:
        self.content = io.BytesIO()

    def writable(self) -> bool:
        return True

    def write(self, data: object, /) -> int:
        return self.content.write(data)  # type: ignore[arg-type]


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    return write_backup(tmp_path / "backup.zip")


@pytest.mark.parametrize("passphrase", [None, _SECRET])
def test_what_was_written_is_read(tmp_path: Path, passphrase: str | None) -> None:
    with BackupReader(write_backup(tmp_path / "b.zip", passphrase), passphrase) as reader:
        reader.check()
        assert [list(row.values()) for row in reader.rows("runs")] == RUNS
        assert {name: reader.open(name).read() for name in reader.artifacts} == FILES


@pytest.mark.parametrize("passphrase", [None, _SECRET])
def test_members_are_read_at_the_same_time(tmp_path: Path, passphrase: str | None) -> None:
    names = [*FILES] * 500

    def start(name: str) -> bytes:
        with reader.open(name) as content:
            return content.read(100)

    path = write_backup(tmp_path / "b.zip", passphrase)
    with BackupReader(path, passphrase) as reader, ThreadPoolExecutor(4) as pool:
        assert list(pool.map(start, names)) == [FILES[name][:100] for name in names]


@pytest.mark.parametrize("passphrase", [None, _SECRET])
def test_a_pipe_will_do(tmp_path: Path, passphrase: str | None) -> None:
    pipe = _Pipe()
    with BackupWriter(pipe, passphrase) as writer:
        writer.table("runs", ["run_uuid"], [["r1"]])
        writer.finish(Manifest(way="exact", handful_version="0"))
    path = tmp_path / "b.zip"
    path.write_bytes(pipe.content.getvalue())
    with BackupReader(path, passphrase) as reader:
        reader.check()
        assert list(reader.rows("runs")) == [{"run_uuid": "r1"}]


def test_others_can_read_it(backup: Path) -> None:
    with zipfile.ZipFile(backup) as archive:
        lines = archive.read("tables/runs.jsonl").splitlines()
        assert json.loads(lines[0]) == [{"table": "runs", "columns": ["run_uuid", "name", "score"]}]
        assert json.loads(lines[2]) == RUNS[1]
        assert json.loads(archive.read("manifest.json"))["members"]["tables/runs.jsonl"]["rows"] == 2


def test_what_does_not_shrink_is_stored(backup: Path) -> None:
    with backup.open("wb") as stream, BackupWriter(stream) as writer:
        writer.file("artifacts/runs/r/noise", io.BytesIO(NOISE), len(NOISE), lambda _: None)
        writer.file("artifacts/runs/r/zeros", io.BytesIO(bytes(100_000)), 100_000, lambda _: None)
        writer.finish(Manifest(way="exact", handful_version="0"))
    with zipfile.ZipFile(backup) as archive:
        kinds = {info.filename.rpartition("/")[2]: info.compress_type for info in archive.infolist()}
    assert kinds["noise"] == zipfile.ZIP_STORED
    assert kinds["zeros"] == zipfile.ZIP_DEFLATED


def test_a_locked_backup_wants_its_passphrase(tmp_path: Path) -> None:
    path = write_backup(tmp_path / "b.zip", _SECRET)
    assert b"hello hello" not in path.read_bytes()
    with pytest.raises(ConfigError, match="is locked: set HANDFUL_BACKUP_PASSPHRASE"):
        BackupReader(path)
    with pytest.raises(DamagedBackupError, match="does not open with this passphrase"):
        BackupReader(path, "another passphrase")


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.99])
def test_a_truncated_backup_is_refused(backup: Path, share: float) -> None:
    content = backup.read_bytes()
    backup.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(DamagedBackupError, match="no whole ZIP file"):
        BackupReader(backup)


def test_a_flipped_bit_is_found(backup: Path) -> None:
    content = bytearray(backup.read_bytes())
    at = content.index(NOISE[:1000])
    content[at + 7] ^= 1
    backup.write_bytes(content)
    with BackupReader(backup) as reader, pytest.raises(DamagedBackupError, match=r"model\.bin"):
        reader.check()


def test_a_changed_member_is_found_where_the_zip_is_in_order(backup: Path) -> None:
    name = "artifacts/runs/r1/note.txt"
    rewrite(backup, lambda members: members.update({name: members[name].replace(b"hello", b"jello")}))
    with BackupReader(backup) as reader, pytest.raises(DamagedBackupError, match=r"note\.txt is not what the manifest"):
        reader.check()


def test_a_missing_row_is_found(backup: Path) -> None:
    with zipfile.ZipFile(backup) as archive:
        manifest = json.loads(archive.read("manifest.json"))
    manifest["members"]["tables/runs.jsonl"]["rows"] = 3
    rewrite(backup, lambda members: members.update({"manifest.json": json.dumps(manifest).encode()}))
    with BackupReader(backup) as reader, pytest.raises(DamagedBackupError, match="has 2 rows and not 3"):
        reader.check()


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "/etc/passwd",
        "artifacts/runs/r1/../../../evil",
        "artifacts/runs/r1/%2E%2E",
        "artifacts/runs/%2E%2E/x",
        "artifacts/runs/r1/a%2Fb",
        "artifacts\\runs\\r1\\x",
        "C:/evil",
        "artifacts/runs/r1//x",
        "artifacts/x",
    ],
)
def test_names_that_lead_elsewhere_are_refused(backup: Path, name: str) -> None:
    rewrite(backup, lambda _: None, {name: b"x"})
    with pytest.raises(DamagedBackupError, match="unsafe name"):
        BackupReader(backup)


def test_links_are_refused(backup: Path) -> None:
    with zipfile.ZipFile(backup, "a") as archive:
        link = zipfile.ZipInfo("artifacts/runs/r1/link")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(DamagedBackupError, match="unsafe name"):
        BackupReader(backup)


def test_a_bomb_is_refused_before_it_unpacks(backup: Path) -> None:
    rewrite(backup, lambda _: None, {"artifacts/runs/r1/zeros": bytes(200 << 20)})
    with pytest.raises(DamagedBackupError, match="a bomb"):
        BackupReader(backup)


def test_members_that_the_manifest_does_not_name_are_refused(backup: Path) -> None:
    rewrite(backup, lambda _: None, {"artifacts/runs/r1/more": b"x"})
    with pytest.raises(DamagedBackupError, match=r"not those of its manifest \('artifacts/runs/r1/more'\)"):
        BackupReader(backup)


def test_members_that_the_manifest_names_are_missed(backup: Path) -> None:
    rewrite(backup, lambda members: members.pop("artifacts/runs/r1/note.txt") and None)
    with pytest.raises(DamagedBackupError, match=r"note\.txt"):
        BackupReader(backup)


def test_another_zip_is_no_backup(tmp_path: Path) -> None:
    path = tmp_path / "b.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("photo.jpg", b"x")
    with pytest.raises(DamagedBackupError, match=r"no manifest\.json"):
        BackupReader(path)


def test_a_later_minor_version_is_read_and_a_later_major_one_is_not(tmp_path: Path) -> None:
    with BackupReader(write_backup(tmp_path / "minor.zip", format_version="1.7")) as reader:
        reader.check()
    with pytest.raises(DamagedBackupError, match=r"format 2\.0; this Handful reads 1\.0"):
        BackupReader(write_backup(tmp_path / "major.zip", format_version="2.0"))


def test_an_export_that_breaks_off_leaves_no_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "b.zip"

    def rows() -> object:
        yield ["r1"]
        raise ConnectionError

    with pytest.raises(ConnectionError), path.open("wb") as stream, BackupWriter(stream) as writer:
        writer.table("runs", ["run_uuid"], rows())  # type: ignore[arg-type]
    with pytest.raises(DamagedBackupError):
        BackupReader(path)


_PARTS = st.text(st.characters(exclude_characters="/\x00", exclude_categories=["Cs"]), min_size=1).filter(
    lambda part: part not in {".", ".."}
)


@given(_PARTS, st.lists(_PARTS, min_size=1, max_size=4))
def test_every_name_of_an_artifact_is_safe_and_comes_back(owner: str, parts: list[str]) -> None:
    member = artifact_member("runs", owner, "/".join(parts))
    assert is_safe(member)
    assert parse_artifact(member) == ("runs", owner, "/".join(parts))
    assert not set(member) & set('\\:*?"<>|')
