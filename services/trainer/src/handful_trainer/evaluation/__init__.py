"""How good a packaged model is on a split of a dataset, measured the way it is served."""

from handful_trainer.evaluation.evaluate import Evaluation, evaluate

__all__ = ["Evaluation", "evaluate"]
