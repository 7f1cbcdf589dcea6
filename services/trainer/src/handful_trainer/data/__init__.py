"""Datasets: where labelled images come from, what is made of them, and how they are read."""

from handful_trainer.data.dataset import PreparedDataset
from handful_trainer.data.preparation import prepare
from handful_trainer.data.settings import DatasetConfig

__all__ = ["DatasetConfig", "PreparedDataset", "prepare"]
