"""Comparing artifacts with what the server has: every hash."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from handful_backup.archive import Member
from handful_backup.archive.names import parse_artifact
from handful_backup.artifacts import Places
from handful_backup.progress import Progress
from handful_backup.verifying.report import Finding

_CHUNK = 1 << 20


def compare_files(
    members: Mapping[str, Member],
    find: Callable[[str, str], str | None],
    places: Places,
    progress: Progress,
    jobs: int,
) -> Finding:
    """Read every artifact from the server and compare its hash.

    Args:
        members: the backup's artifacts.
        find: the server's URI of a holder, by kind and id; None if it is not there.
        places: where artifacts lie.
        progress: shows how far it is.
        jobs: downloads at the same time.
    """
    finding = Finding("artifacts")
    progress.bytes("artifacts", sum(member.size for member in members.values()))

    def same(item: tuple[str, Member]) -> bool:
        name, member = item
        kind, owner, path = parse_artifact(name)
        uri = find(kind, owner)
        return uri is not None and _hash(places, uri, path, progress) == member.sha256

    with ThreadPoolExecutor(jobs) as pool:
        for name, is_same in zip(members, pool.map(same, members.items()), strict=True):
            finding.expected += 1
            if not is_same:
                finding.miss(name)
    return finding


def _hash(places: Places, uri: str, path: str, progress: Progress) -> str:
    store, folder = places.find(uri)
    digest = hashlib.sha256()
    try:
        with store.read(folder, path) as content:
            while chunk := content.read(_CHUNK):
                digest.update(chunk)
                progress.advance(len(chunk))
    except FileNotFoundError:
        return ""
    return digest.hexdigest()
