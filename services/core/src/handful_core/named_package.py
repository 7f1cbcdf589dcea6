"""Packages by the names that users give them: files, folders and registered versions."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from handful_core.package import Package, open_package
from handful_core.package.archive import read_folder


@contextmanager
def open_named_package(source: str, mlflow_uri: str) -> Iterator[Package]:
    """A package: a file, a folder, or a registered version such as models:/fingers@champion.

    Raises:
        PackageError: it is damaged.
        NotFoundError: there is no such version.
        UnavailableError: MLflow is needed, and does not answer.
    """
    if not source.startswith("models:"):
        with open_package(Path(source)) as package:
            yield package
        return
    from handful_core.registry import Registry, parse_reference  # Not installed where only files are asked.

    name, which = parse_reference(source)
    with Registry(mlflow_uri) as registry, tempfile.TemporaryDirectory(prefix="handful-package-") as folder:
        yield read_folder(registry.download_package(registry.version(name, which), Path(folder)))
