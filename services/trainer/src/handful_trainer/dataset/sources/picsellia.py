"""A dataset version in Picsellia: pulled first, then read like an export."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from handful_core.settings import load
from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.dataset.sources.base import RawDataset
from handful_trainer.dataset.sources.picsellia_export import PicselliaExportSource


class PicselliaSource:
    """Brings the folder up to date with the platform, once, and hands over what is in it."""

    def __init__(self, config: DatasetConfig, home: Path) -> None:
        self._config, self._home = config, home

    def roots(self) -> tuple[Path, ...]:
        """Those of the export that was pulled."""
        return self._export.roots()

    def read(self) -> RawDataset:
        """All assets, each with its newest annotation."""
        return self._export.read()

    @cached_property
    def _export(self) -> PicselliaExportSource:
        # The token is read here, not with all settings: no command that pulls nothing should know it.
        from handful_trainer.dataset.picsellia.pull import pull
        from handful_trainer.dataset.picsellia.settings import PicselliaSettings

        pulled = pull(self._config.picsellia, load(PicselliaSettings), self._home, self._config.path)
        return PicselliaExportSource(self._config.model_copy(update={"path": pulled.folder}), self._home)
