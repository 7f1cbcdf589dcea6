"""`handful data pull`: a dataset version of Picsellia as a folder that `prepare` reads.

    assets/<asset id>.jpg     the files
    assets.json               the assets: file names, sizes, tags
    annotations.json          the annotations by asset id, the newest first
    source.json               where all that came from, when, and what is missing
    files.jsonl               which files came whole, so that the next pull fetches the others only

While `.unfinished` lies in the folder, it is not used: the pull was broken off, and goes on when it is run again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from handful_core.errors import ConfigError, DataError, ResourceError
from handful_core.files import write_atomically
from handful_trainer.dataset.errors import EmptyDatasetError
from handful_trainer.dataset.picsellia.api import RemoteVersion
from handful_trainer.dataset.picsellia.downloads import DownloadIndex, Downloads
from handful_trainer.dataset.picsellia.listing import ListedAsset, list_assets, load_annotations
from handful_trainer.dataset.picsellia.progress import Progress
from handful_trainer.dataset.picsellia.settings import PicselliaSettings, Target
from handful_trainer.dataset.settings import PicselliaConfig, plain
from handful_trainer.dataset.sources.base import ACCEPTED, NO_ANNOTATION
from handful_trainer.dataset.sources.picsellia_export import ANNOTATIONS, ASSETS, FILES, SOURCE, UNFINISHED

_INDEX, _PARTS, _LOCK = "files.jsonl", ".parts", ".lock"
_MAX_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Pulled:
    """What a pull brought."""

    folder: Path
    source: dict[str, Any]
    """Content of source.json."""
    fetched: int
    """Files that came this time; the others were here."""
    removed: int
    """Files of assets that are no longer in the version."""
    bytes: int
    """How many came this time."""

    def as_json(self) -> dict[str, Any]:
        """For another program."""
        return {"fetched": self.fetched, "removed": self.removed, "bytes": self.bytes, **self.source}

    def __str__(self) -> str:
        """For people."""
        counts, name = self.source["counts"], self.source["dataset"]["name"]
        statuses = ", ".join(f"{number} {status}" for status, number in counts["newest_by_status"].items())
        missing = f"; {counts['missing']} have no file (see {SOURCE})" if counts["missing"] else ""
        return (
            f"{name}, version {self.source['version']['name']}: {counts['assets']} assets ({statuses}){missing}\n"
            f"fetched {self.fetched} files ({self.bytes / 1e6:.1f} MB), removed {self.removed}; "
            f"{counts['files'] - self.fetched} were here already\nfolder: {self.folder}"
        )


def folder_of(target: Target, home: Path) -> Path:
    """Where a version goes if no folder is named: another for each."""
    key = hashlib.sha256(json.dumps(target).encode()).hexdigest()[:8]
    return home / "raw" / f"{plain(f'{target.dataset}-{target.version}')}-{key}"


def pull(config: PicselliaConfig, settings: PicselliaSettings, home: Path, output: Path | None = None) -> Pulled:
    """Bring a folder up to date with a dataset version.

    Args:
        config: what to pull.
        settings: the token and how to reach the platform.
        home: Handful's folder; the version goes to `raw/` in it.
        output: another folder for it.

    Raises:
        ConfigError: no token, or it is refused, or the folder holds another version.
        NotFoundError: no such organisation, dataset or version.
        DataError: no accepted annotation, or files that do not exist.
        UnavailableError: the platform or its object store do not answer.
        ResourceError: the disk is full, or another pull works in the folder.
    """
    target = Target.from_settings(config, settings)
    folder = output or folder_of(target, home)
    with contextlib.closing(RemoteVersion(target, settings.secret(), settings.workers)) as remote:
        _check_folder(folder, remote)
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder), Progress() as progress:
            return _update_folder(remote, folder, settings.workers, progress, accept_missing=config.missing == "accept")


def _update_folder(
    remote: RemoteVersion, folder: Path, workers: int, progress: Progress, *, accept_missing: bool
) -> Pulled:
    labels = remote.labels()
    progress.step("listing assets", 0)
    assets = list_assets(remote, progress.reached)
    annotations = load_annotations(remote, workers, progress)
    statuses = _statuses(assets, annotations)
    _check_accepted(statuses, remote)
    index = DownloadIndex(folder / _INDEX)
    wanted = [asset for asset in assets if not index.has(asset, folder / FILES / asset.file_name)]
    downloads = Downloads(remote, folder / FILES, folder / _PARTS, index)
    texts = {ASSETS: _to_json([asset.as_json() for asset in assets]), ANNOTATIONS: _to_json(annotations)}
    with _unfinished(folder, when=bool(wanted) or _any_changed(folder, texts)):
        progress.step("fetching images", len(wanted))
        downloads.fetch(wanted, workers, progress)
        if downloads.missing and not accept_missing:
            _refuse(downloads.missing, len(assets))
        present = {asset.file_name for asset in assets if asset.id not in downloads.missing}
        removed = _remove_stale_files(folder / FILES, present)
        index.keep({asset.id for asset in assets})
        for name, text in texts.items():
            _write_if_changed(folder / name, text)
        source = _source(remote, labels, assets, annotations, statuses, downloads.missing)
        # A new time alone must not change the file: `prepare` would read everything again.
        if _read_source(folder) | {"pulled": ""} != source | {"pulled": ""}:
            _write_if_changed(folder / SOURCE, _to_json(source))
    return Pulled(folder, source, len(wanted) - len(downloads.missing), removed, downloads.bytes)


def _source(
    remote: RemoteVersion,
    labels: Sequence[str],
    assets: Sequence[ListedAsset],
    annotations: dict[str, list[Any]],
    statuses: Counter[str],
    missing: dict[str, str],
) -> dict[str, Any]:
    return {
        "source": "picsellia",
        **remote.description,
        "labels": list(labels),
        "pulled": datetime.now(UTC).isoformat(timespec="seconds"),
        "sdk": version("picsellia"),
        "counts": {
            "assets": len(assets),
            "files": len(assets) - len(missing),
            "missing": len(missing),
            "annotations": sum(map(len, annotations.values())),
            "newest_by_status": dict(sorted(statuses.items())),
        },
        "missing": dict(sorted(missing.items())),
    }


def _statuses(assets: Sequence[ListedAsset], annotations: dict[str, list[Any]]) -> Counter[str]:
    """How many assets have which status, by their newest annotation."""
    newest = (annotations.get(asset.id, [])[:1] for asset in assets)
    return Counter(str(found[0].get("status", "")).lower() if found else NO_ANNOTATION for found in newest)


def _check_accepted(statuses: Counter[str], remote: RemoteVersion) -> None:
    if statuses[ACCEPTED]:
        return
    others = ", ".join(f"{number} {status}" for status, number in statuses.most_common())
    name = f"{remote.description['dataset']['name']}, version {remote.description['version']['name']}"
    raise EmptyDatasetError(
        f"no asset of {name} has an accepted annotation ({others})", "review and accept them in Picsellia"
    )


def _refuse(missing: dict[str, str], total: int) -> None:
    shown = ", ".join(f"{asset_id}: {why}" for asset_id, why in sorted(missing.items())[:_MAX_SHOWN])
    more = f" and {len(missing) - _MAX_SHOWN} more" if len(missing) > _MAX_SHOWN else ""
    raise DataError(
        f"{len(missing)} of {total} assets have no file ({shown}{more}); the others are here",
        "run it again, remove them in Picsellia, or set dataset.picsellia.missing=accept (--accept-missing)",
    )


def _check_folder(folder: Path, remote: RemoteVersion) -> None:
    """Refuse a folder that holds something else.

    Raises:
        ConfigError: it is not empty and was not pulled, or from another version.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not (folder / _LOCK).exists():
        raise ConfigError(f"{folder} holds something that was not pulled", "name another folder, or remove it")
    known = _read_source(folder)
    if not known:
        return  # The first pull into it did not come to its end.
    there = known.get("version", {})
    if there.get("id") != remote.description["version"]["id"]:
        raise ConfigError(f"{folder} holds the version {there.get('name')!r}", "name another folder, or remove it")


def _read_source(folder: Path) -> dict[str, Any]:
    """What an earlier pull wrote of where its files came from; empty if there was none."""
    try:
        known = json.loads((folder / SOURCE).read_bytes())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    try:
        with FileLock(folder / _LOCK, timeout=0):
            yield
    except Timeout:
        raise ResourceError(f"another pull works in {folder}", "wait for it, or stop it first") from None


@contextlib.contextmanager
def _unfinished(folder: Path, *, when: bool) -> Iterator[None]:
    """Mark the folder while it is neither the old state nor the new one."""
    mark = folder / UNFINISHED
    if when:
        mark.touch()
    yield
    mark.unlink(missing_ok=True)


def _remove_stale_files(folder: Path, names: set[str]) -> int:
    """Remove the files of assets that are gone."""
    others = [path for path in folder.iterdir() if path.name not in names] if folder.is_dir() else []
    for path in others:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return len(others)


def _to_json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def _any_changed(folder: Path, texts: dict[str, str]) -> bool:
    return any(_read(folder / name) != text.encode(errors="surrogatepass") for name, text in texts.items())


def _write_if_changed(path: Path, text: str) -> None:
    """Write in one step; leave a file alone that says the same: `prepare` goes by the time of its last change."""
    content = text.encode(errors="surrogatepass")
    if _read(path) == content:
        return
    write_atomically(path, content)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
