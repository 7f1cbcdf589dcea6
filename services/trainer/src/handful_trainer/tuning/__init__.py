"""Searching for better settings: many trainings of one configuration, each with other values (Optuna)."""

from handful_trainer.tuning.search import SearchConfig, load_search
from handful_trainer.tuning.study import Result, tune

__all__ = ["Result", "SearchConfig", "load_search", "tune"]
