"""A batch: which images are left, who answers them, and what became of all."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from handful_core.batch.storage import Storage, StoredFile
from handful_core.batch.worker import BatchOptions, Done, Part, Worker, describe, split
from handful_core.console import progress
from handful_core.errors import ConfigError, DataError
from handful_core.package import Package
from handful_core.package.archive import zip_package
from handful_core.vision import formats

PART_SIZE = 256
"""Images of a part: what a killed worker has to do again at most."""
Engine = Callable[[Worker, Sequence[Part]], Iterable[Done]]
"""What runs a worker over parts, and tells of each that is done."""


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What became of a batch.

    Attributes:
        images: answered now.
        failed: of these, without an answer: their row has an `error`.
        before: answered by an earlier run into the same folder.
        first_error: why the first one has none.
    """

    images: int
    failed: int
    before: int
    first_error: str = ""


def run_batch(
    package: Package,
    source: Storage,
    output: Storage,
    options: BatchOptions,
    engine: Engine,
    part_size: int = PART_SIZE,
) -> BatchResult:
    """Answer every image below `source` that has no answer in `output` yet.

    Args:
        package: what answers.
        source: where the images are.
        output: where the Parquet files go. An earlier run into it that did not end is taken up.
        options: how each image is answered.
        engine: who does it.
        part_size: images of one file.

    Raises:
        DataError: there is no image.
        ConfigError: `output` holds answers of another package, of other options, or of images that have changed.
    """
    images = [file for file in source.files() if Path(file.path).suffix.lower() in formats.IMAGE_SUFFIXES]
    if not images:
        raise DataError(f"{source.location} has no image", "name a folder with images")
    description = describe(package, options)
    answered, parts_there = _answered(output, description)
    left = _left(source, images, answered)
    worker = Worker(_zipped(package), output, options, description)
    parts = split(source, left, part_size, parts_there)
    done: list[Done] = []
    with progress() as bar:
        task = bar.add_task("predicting", total=len(left))
        for each in engine(worker, parts):
            done.append(each)
            bar.advance(task, each.images)
    errors = [each.first_error for each in done if each.first_error]
    counted = sum(each.images for each in done)
    if counted != len(left):
        raise DataError(f"{len(left) - counted} of {len(left)} images were not answered", "run it again: it goes on")
    return BatchResult(counted, sum(each.failed for each in done), len(images) - len(left), errors[0] if errors else "")


def _left(source: Storage, images: Sequence[StoredFile], answered: dict[str, tuple[int, int]]) -> list[StoredFile]:
    """The images without an answer."""
    here = {source.name_of(file.path): (file.size, file.changed) for file in images}
    changed = sorted(name for name in here.keys() & answered.keys() if here[name] != answered[name])
    if changed:
        raise ConfigError(
            f"{len(changed)} images have changed since they were answered, such as {changed[0]}",
            "name a new folder with --batch",
        )
    return [file for file in images if source.name_of(file.path) not in answered]


def _answered(output: Storage, description: dict[str, str]) -> tuple[dict[str, tuple[int, int]], int]:
    """What an earlier run has answered: size and time of change by image; and the number of the next part."""
    import pyarrow.parquet as pq

    answered: dict[str, tuple[int, int]] = {}
    numbers = [-1]
    for file in _parts_in(output):
        table = pq.read_table(io.BytesIO(output.read(file.path)), columns=["file", "bytes", "changed"])
        _same(output, table.schema.metadata or {}, description)
        for row in table.to_pylist():
            answered[row["file"]] = (row["bytes"], row["changed"])
        numbers.append(int(file.path.split("-")[1]))
    return answered, max(numbers) + 1


def _parts_in(output: Storage) -> list[StoredFile]:
    """The files of an earlier run; none where there is no such folder yet."""
    if not output.is_remote and not Path(output.location).exists():
        return []
    try:
        found = output.files()
    except DataError:  # An object store has no folder before its first object.
        return []
    others = [file.path for file in found if not (file.path.startswith("part-") and file.path.endswith(".parquet"))]
    if others:
        raise ConfigError(f"{output.location} holds other files, such as {others[0]}", "name a new folder with --batch")
    return found


def _same(output: Storage, metadata: dict[bytes, bytes], description: dict[str, str]) -> None:
    for key, value in description.items():
        found = metadata.get(key.encode(), b"").decode()
        if found != value:
            raise ConfigError(
                f"{output.location} holds answers with {key.removeprefix('handful.')} {found}, not {value}",
                "name a new folder with --batch",
            )


def _zipped(package: Package) -> bytes:
    with tempfile.TemporaryDirectory(prefix="handful-batch-") as folder:
        return zip_package(package, Path(folder) / "package.zip").read_bytes()
