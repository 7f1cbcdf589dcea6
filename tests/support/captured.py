"""Captured pictures, made up."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import cv2
import numpy as np

from fakes.registry import FakeMlflow
from handful_core.registry.monitoring import REVIEW_PREFIX, MonitoringExperiments
from handful_core.review import (
    Annotation,
    CapturedPicture,
    Probability,
    Review,
    ReviewedObject,
    ReviewStore,
    ScoredObject,
)

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
BOX = (40.0, 30.0, 200.0, 180.0)


def review_store(mlflow: FakeMlflow | None = None) -> ReviewStore:
    """A store on a fake MLflow."""
    transport = (mlflow or FakeMlflow()).transport()
    return ReviewStore(MonitoringExperiments("http://mlflow", attempts=1, transport=transport, prefix=REVIEW_PREFIX))


def draw_jpeg(seed: int = 0, width: int = 320, height: int = 240) -> bytes:
    """A JPEG of a bright square on a dark ground: no two seeds alike."""
    random = np.random.default_rng(seed)
    pixels = np.full((height, width, 3), random.integers(20, 90, 3), np.uint8)
    x, y = random.integers(10, width // 2), random.integers(10, height // 2)
    pixels[y : y + height // 3, x : x + width // 3] = random.integers(150, 250, 3)
    encoded: Any = cv2.imencode(".jpg", pixels)[1]
    return bytes(encoded)


def draw_picture(model: str = "fingers", jpeg: bytes = b"", **changes: Any) -> CapturedPicture:
    """A detector's picture."""
    picture = CapturedPicture(
        id=uuid.uuid4().hex,
        at=NOON,
        model=model,
        version="3",
        package="f" * 64,
        source="camera-1",
        task="detect",
        width=320,
        height=240,
        reason="unsure",
        score=0.83,
        sha256=hashlib.sha256(jpeg).hexdigest(),
        phash=(1 << 64) - 5,
        objects=(ScoredObject("3", 0.41, BOX),),
        profile={"brightness": 0.4, "format": "JPEG", "jpeg_quality": None},
    )
    return replace(picture, **changes)


def draw_leaf(model: str = "leaves", **changes: Any) -> CapturedPicture:
    """A classifier's picture."""
    probabilities = (Probability("rust", 0.45), Probability("healthy", 0.4), Probability("spot", 0.15))
    return draw_picture(model, task="classify", objects=(), probabilities=probabilities, **changes)


def draw_review(picture: CapturedPicture, revision: int = 1, **changes: Any) -> Review:
    """A person's correction."""
    annotation = Annotation(name="rust") if picture.task == "classify" else Annotation((ReviewedObject("4", BOX),))
    review = Review(picture.id, revision, "corrected", NOON, "anna", annotation)
    return replace(review, **changes)
