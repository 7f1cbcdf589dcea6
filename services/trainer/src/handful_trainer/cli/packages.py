"""Options of several commands that name a model package."""

from __future__ import annotations

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
    from handful_core.named_package import open_named_package
    from handful_core.registry import parse_reference

    if (path is None) == (reference is None):
        raise ConfigError("give either --package or --model", "for example --model models:/fingers@champion")
    if reference is not None:
        parse_reference(reference)  # Whatever else it is, it is no path.
    with open_named_package(reference or str(path), uri) as package:
        yield package
