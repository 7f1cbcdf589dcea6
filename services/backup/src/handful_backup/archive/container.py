"""The ZIP file itself: plain, or locked with a passphrase (AES-256, as WinZip and 7-Zip read it)."""

from __future__ import annotations

import zipfile
from typing import IO, Any

import pyzipper

ENCRYPTED = 0x1
"""The flag of a member that is locked."""


def create(stream: IO[bytes], passphrase: str | None) -> zipfile.ZipFile:
    """A new ZIP on a stream that need not be seekable."""
    if not passphrase:
        return zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED, allowZip64=True)
    locked: Any = pyzipper.AESZipFile(
        stream, "w", compression=pyzipper.ZIP_STORED, allowZip64=True, encryption=pyzipper.WZ_AES
    )
    locked.setpassword(passphrase.encode())
    return locked  # type: ignore[no-any-return]  # It has zipfile's interface and none of its types.


def entry(name: str, *, deflated: bool, locked: bool) -> zipfile.ZipInfo:
    """A member to be written."""
    kind = pyzipper.zipfile_aes.AESZipInfo if locked else zipfile.ZipInfo
    # The earliest time that ZIP knows: a member's time means nothing, and one now would make equal backups differ.
    member: zipfile.ZipInfo = kind(name, (1980, 1, 1, 0, 0, 0))
    member.compress_type = zipfile.ZIP_DEFLATED if deflated else zipfile.ZIP_STORED
    member.external_attr = 0o600 << 16
    return member


def unlock(stream: IO[bytes], passphrase: str) -> zipfile.ZipFile:
    """A ZIP whose members are locked, for reading."""
    locked: Any = pyzipper.AESZipFile(stream)
    locked.setpassword(passphrase.encode())
    return locked  # type: ignore[no-any-return]
