"""Backups made by hand, for tests of how they are read."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

from handful_backup.archive import BackupWriter, Manifest

NOISE = hashlib.shake_256(b"noise").digest(1_000_000)
"""What no compression shrinks."""
FILES = {"artifacts/runs/r1/model.bin": NOISE, "artifacts/runs/r1/note.txt": b"hello " * 1000}
RUNS = [["r1", "first", None], ["r2", "sécond", 1.5]]


def write_backup(path: Path, passphrase: str | None = None, **fields: object) -> Path:
    """A small backup."""
    with path.open("wb") as stream, BackupWriter(stream, passphrase) as writer:
        writer.table("runs", ["run_uuid", "name", "score"], RUNS)
        for name, content in FILES.items():
            writer.file(name, io.BytesIO(content), len(content), lambda _: None)
        writer.finish(Manifest.model_validate({"way": "exact", "handful_version": "0", **fields}))
    return path


def rewrite(path: Path, change: Callable[[dict[str, bytes]], None], extra: Mapping[str, bytes] | None = None) -> Path:
    """The backup with its members changed, as a tool that knows nothing of manifests would."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {**members, **(extra or {})}.items():
            archive.writestr(name, content)
    return path
