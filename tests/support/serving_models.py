"""Serving on a fake MLflow, with a real cache and real tiny models."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fakes.packages import build_package
from fakes.registry import FakeMlflow
from handful_core.package import Package
from handful_core.registry import Registry
from handful_core.vision.drawing import draw
from handful_faces.privacy import FaceBlur, NoBlur
from handful_serving.adapters.backends import model_opener
from handful_serving.adapters.disk_cache import DiskCache
from handful_serving.concurrency.admission import AdmissionQueue
from handful_serving.domain.catalog import Catalog
from handful_serving.domain.loader import Dependencies
from handful_serving.domain.model_manager import ModelManager
from handful_serving.domain.model_ref import ModelVersion
from handful_serving.domain.model_store import LoadedModel, Model, ModelStore
from handful_serving.domain.prediction import PredictionResult
from handful_serving.domain.predictor import Pipeline, Predictor
from handful_serving.domain.rollout import Rollout, TrafficSplit


@dataclass
class RecordingObserver:
    """Keeps what it observes."""

    reloads: list[tuple[str, str, str]] = field(default_factory=list)
    reachable: list[bool] = field(default_factory=list)
    predictions: list[ModelVersion] = field(default_factory=list)
    comparisons: list[tuple[str, str]] = field(default_factory=list)

    def wants(self, model_version: ModelVersion, source: str) -> bool:
        return False

    def predicted(self, result: PredictionResult) -> None:
        assert set(result.timings) >= {"queue", "decode", "blur", "preprocess", "inference", "postprocess", "total"}
        self.predictions.append(result.model_version)

    def compared(self, name: str, outcome: str) -> None:
        self.comparisons.append((name, outcome))

    def reloaded(self, name: str, outcome: str, reason: str) -> None:
        self.reloads.append((name, outcome, reason))

    def registry_answered(self, *, reachable: bool) -> None:
        self.reachable.append(reachable)


class ServingModels:
    """One registry and one cache folder, and as many managers on them as a test starts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mlflow = FakeMlflow()
        self.observer = RecordingObserver()
        self.opened: list[Path] = []
        self.on_open: Callable[[Path], None] = lambda _: None
        self._open = model_opener("onnxruntime", 1, folder)
        self._packages = 0

    def package(self, head: str = "raw", **options: Any) -> Package:
        """A new package; each is another one."""
        self._packages += 1
        options.setdefault("created", f"2026-11-21T12:00:{self._packages:02d}Z")
        return build_package(self.folder / f"package-{self._packages}", head, **options)  # type: ignore[arg-type]

    def register(self, *aliases: str, name: str = "fingers", **options: Any) -> int:
        """Register a good package."""
        return self.mlflow.register(self.package(**options), name, aliases)

    def manager(
        self, limit: int = 4, default: str = "fingers", served: tuple[str, ...] = (), keep: int = 10
    ) -> ModelManager:
        """A freshly started serving's models."""
        registry = Registry("http://mlflow", attempts=1, transport=self.mlflow.transport())
        dependencies = Dependencies(registry, DiskCache(self.folder / "cache", keep), self._opening, self.observer)
        return ModelManager(dependencies, Catalog(default, served), limit)

    def predictor(
        self,
        manager: ModelManager,
        workers: int = 1,
        max_pixels: int = 10_000,
        *,
        waiting: int = 100,
        seconds: float = 60,
        shares: TrafficSplit | None = None,
        blur: FaceBlur | None = None,
    ) -> Predictor:
        """What answers images with a manager."""
        pipeline = Pipeline(blur or NoBlur(), draw, max_pixels)
        return Predictor(
            manager,
            pipeline,
            AdmissionQueue(workers, waiting, seconds),
            Rollout(manager, shares or TrafficSplit()),
            workers,
        )

    @property
    def downloads(self) -> int:
        """How often a model file was fetched."""
        return sum(path.endswith("/model.onnx") for path in self.mlflow.requests)

    def _opening(self, folder: Path) -> Model:
        self.opened.append(folder)
        self.on_open(folder)
        return self._open(folder)


@contextmanager
def leased(store: ModelStore, loaded: LoadedModel) -> Iterator[LoadedModel]:
    """A model that is in use within the block."""
    lease = store.lease(loaded)
    try:
        yield loaded
    finally:
        lease.release()
