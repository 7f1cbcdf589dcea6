"""Where labelled images come from, by the name that a configuration gives."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path

from handful_core.errors import ConfigError
from handful_trainer.dataset.settings import SEVERAL, SOURCES_GROUP, DatasetConfig
from handful_trainer.dataset.sources.base import Source
from handful_trainer.dataset.sources.coco.source import CocoSource
from handful_trainer.dataset.sources.csv.source import CsvSource
from handful_trainer.dataset.sources.folder import ClassFolderSource
from handful_trainer.dataset.sources.label_studio import LabelStudioSource
from handful_trainer.dataset.sources.picsellia import PicselliaSource
from handful_trainer.dataset.sources.picsellia_export import PicselliaExportSource
from handful_trainer.dataset.sources.reviewed import ReviewedSource
from handful_trainer.dataset.sources.several import SeveralSources
from handful_trainer.dataset.sources.voc.source import VocSource
from handful_trainer.dataset.sources.yolo.source import YoloSource

SOURCES: Mapping[str, type[Source]] = {
    "picsellia": PicselliaSource,
    "picsellia-export": PicselliaExportSource,
    "yolo": YoloSource,
    "coco": CocoSource,
    "voc": VocSource,
    "folder": ClassFolderSource,
    "csv": CsvSource,
    "label-studio": LabelStudioSource,
    "reviewed": ReviewedSource,
}
"""The trainer's own sources by their name in the configuration."""
_BROUGHT_BY = {"sample": "handful-quickstart"}
"""The distributions of the other names in `settings.SourceName`."""


def open_source(config: DatasetConfig, home: Path) -> Source:
    """The source that a configuration names.

    Raises:
        ConfigError: the distribution that brings the source is not installed.
    """
    if config.source == SEVERAL:
        each = [config.model_copy(update={"sources": (), **dict(one)}) for one in config.sources]
        return SeveralSources([(one.called, find_source(one.source)(one, home)) for one in each])
    return find_source(config.source)(config, home)


def find_source(name: str) -> type[Source]:
    """The class of a source: the trainer's own, or one of another distribution.

    Raises:
        ConfigError: the distribution that brings the source is not installed, or cannot be imported.
    """
    if name in SOURCES:
        return SOURCES[name]
    package = _BROUGHT_BY.get(name, f"that brings {name}")
    for entry in entry_points(group=SOURCES_GROUP, name=name):
        try:
            source: type[Source] = entry.load()
        except ImportError as error:
            raise ConfigError(
                f"the dataset source {name} cannot be loaded ({error})", f"install the package {package} again"
            ) from error
        return source
    raise ConfigError(f"the dataset source {name} is not installed", f"install the package {package}")
