"""Where labelled images come from, by the name that a configuration gives."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.dataset.sources.base import Source
from handful_trainer.dataset.sources.coco import CocoSource
from handful_trainer.dataset.sources.picsellia import PicselliaSource
from handful_trainer.dataset.sources.picsellia_export import PicselliaExportSource
from handful_trainer.dataset.sources.sample import SampleSource
from handful_trainer.dataset.sources.voc import VocSource
from handful_trainer.dataset.sources.yolo import YoloSource

SOURCES: Mapping[str, type[Source]] = {
    "picsellia": PicselliaSource,
    "picsellia-export": PicselliaExportSource,
    "yolo": YoloSource,
    "coco": CocoSource,
    "voc": VocSource,
    "sample": SampleSource,
}
"""A source's name in the configuration → its class. `settings.SourceName` lists the same names."""


def open_source(config: DatasetConfig, home: Path) -> Source:
    """The source that a configuration names."""
    return SOURCES[config.source](config, home)
