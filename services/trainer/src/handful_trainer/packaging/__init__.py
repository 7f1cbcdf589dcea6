"""From trained weights to a model package that provably answers as they do."""

from handful_trainer.packaging.build import build_package

__all__ = ["build_package"]
