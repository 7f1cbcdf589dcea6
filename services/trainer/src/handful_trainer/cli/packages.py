"""Options of several commands that name a model package."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from handful_core.errors import ConfigError

if TYPE_CHECKING:
    from handful_core.package import Package


@contextmanager
def opened_package(path: Path | None, reference: str | None, uri: str) -> Iterator[Package]:
    """A package by the options that name it: --package, a folder or ZIP file, or --model, a registered version.

    Raises:
        ConfigError: both are given, or none.
    """
    from handful_core.package import open_package
    from handful_core.registry import Registry, parse_reference

    if (path is None) == (reference is None):
        raise ConfigError("give either --package or --model", "for example --model models:/fingers@champion")
    if path is not None:
        with open_package(path) as package:
            yield package
        return
    name, version = parse_reference(reference or "")
    with tempfile.TemporaryDirectory(prefix="handful-model-") as folder, Registry(uri) as registry:
        registry.download_package(registry.version(name, version), Path(folder))
        with open_package(Path(folder)) as package:
            yield package
