"""`handful predict --batch`: from a folder of images to Parquet."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict

from handful_core.batch.job import Engine, run_batch
from handful_core.batch.storage import Storage
from handful_core.batch.worker import BatchOptions
from handful_core.console import only_results_on_stdout, print_json, say
from handful_core.errors import ConfigError, DataError
from handful_core.named_package import open_named_package
from handful_core.settings import CoreSettings, load


def predict_batch(
    folders: Sequence[str],
    package: str | None,
    output: str,
    options: BatchOptions,
    *,
    processes: int | None,
    ray: str | None,
    as_json: bool,
) -> None:
    """Answer all images below a folder.

    Raises:
        ConfigError: the words do not fit together.
        DataError: some images have no answer; their rows say why.
    """
    if package is None:
        raise ConfigError("--batch runs a model right here", "name it: --package models:/fingers@champion or a file")
    if len(folders) != 1:
        raise ConfigError("--batch takes one folder", "name the folder, or s3://BUCKET/PREFIX")
    if ray and processes:
        raise ConfigError("--ray and --processes are two ways", "leave one out")
    started = time.monotonic()
    # Ray tells of nodes that it lost on stdout.
    with only_results_on_stdout(), open_named_package(package, load(CoreSettings).mlflow_uri) as found:
        result = run_batch(found, Storage(folders[0]), Storage(output), options, _engine(processes, ray))
    seconds = time.monotonic() - started
    if as_json:
        print_json(asdict(result) | {"output": output, "seconds": round(seconds, 3)})
    before = f", {result.before:,} were answered before" if result.before else ""
    say(f"{output}: {result.images - result.failed:,} answers in {seconds:.1f} s{before}")
    if result.failed:
        raise DataError(
            f"{result.failed:,} of {result.images:,} images have no answer, such as {result.first_error}",
            "see the column `error` of the others",
        )


def _engine(processes: int | None, ray: str | None) -> Engine:
    # Imported only where it is used: Ray takes seconds.
    if ray:
        from handful_core.batch.ray_cluster import RayCluster

        return RayCluster(ray)
    from handful_core.batch.processes import Processes

    return Processes(processes)
