"""Hands that the program draws."""

from __future__ import annotations

from pathlib import Path

from handful_trainer.dataset.preparation.fingerprint import FORMAT
from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.dataset.sources.base import RawDataset
from handful_trainer.dataset.sources.yolo import read_items
from handful_trainer.dataset.sources.yolo_files import open_yolo_folder


class SampleSource:
    """Draws hands into Handful's folder, once for each size and seed. The drawings are named so in every file name."""

    def __init__(self, config: DatasetConfig, home: Path) -> None:
        self._settings, self._seed = config.sample, config.seed
        name = f"{config.sample.images}x{config.sample.size}-seed{config.seed}-v{FORMAT}"
        self._folder = home / "drawn" / name

    def roots(self) -> tuple[Path, ...]:
        """Nothing: the settings say all."""
        return ()

    def read(self) -> RawDataset:
        """The drawn images, not yet split."""
        from handful_trainer.data.drawn import draw_folder

        if not self._folder.exists():
            draw_folder(self._folder, self._settings, self._seed)
        folder = open_yolo_folder(self._folder)
        items = (item._replace(id=Path(item.name).stem, split=None) for item in read_items(folder))
        return RawDataset(tuple(items), classes=folder.names)
