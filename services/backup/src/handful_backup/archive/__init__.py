"""The backup's file: docs/backup.md describes it."""

from handful_backup.archive.manifest import FORMAT_VERSION, Manifest, Member
from handful_backup.archive.reader import BackupReader
from handful_backup.archive.writer import BackupWriter

__all__ = ["FORMAT_VERSION", "BackupReader", "BackupWriter", "Manifest", "Member"]
