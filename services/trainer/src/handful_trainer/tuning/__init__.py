"""Searching for better settings: many trainings of one configuration, each with other values (Optuna)."""

from handful_trainer.tuning.search import SearchConfig, load_search
from handful_trainer.tuning.study import StudyResult, tune

__all__ = ["SearchConfig", "StudyResult", "load_search", "tune"]
