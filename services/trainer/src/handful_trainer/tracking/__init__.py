"""Writing a training down in MLflow, whether or not MLflow is there all the time."""

from handful_trainer.tracking.tracker import Tracker, open_tracker

__all__ = ["Tracker", "open_tracker"]
