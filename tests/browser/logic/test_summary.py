from __future__ import annotations

from typing import Any

import pytest

FINGERS = [{"id": i, "name": str(i), "count": i} for i in range(6)] + [{"id": 6, "name": "unknown", "count": None}]
CARS = [{"id": 0, "name": "car", "count": None}]


def found(*pairs: tuple[int, float]) -> dict[str, Any]:
    detections = [{"id": i, "class": kind, "confidence": share} for i, (kind, share) in enumerate(pairs)]
    return {"task": "detect", "detections": detections, "thresholds": {"confidence": 0.05}}


def state(
    answer: dict[str, Any] | None, classes: list[dict[str, Any]], threshold: float | None = 0.25
) -> dict[str, Any]:
    return {"request": {"prediction": answer}, "modelInfo": {"classes": classes}, "threshold": threshold}


@pytest.mark.parametrize(
    ("answer", "classes", "label", "value", "total", "detail"),
    [
        (found((5, 0.9), (2, 0.8), (4, 0.1)), FINGERS, "Count", "7", "5 + 2", "2 boxes"),
        (found((5, 0.9), (6, 0.8)), FINGERS, "Count", "5", "", "2 boxes, 1 not counted"),
        (found((3, 0.9)), FINGERS, "Count", "3", "", "1 box"),
        (found((3, 0.2)), FINGERS, "Count", "0", "", "Nothing found above 25%"),
        (found(*[(1, 0.9)] * 7), FINGERS, "Count", "7", "", "7 boxes"),
        (found((0, 0.9), (0, 0.8)), CARS, "Objects", "2", "", "2 boxes"),
        (found(), CARS, "Objects", "0", "", "Nothing found above 25%"),
        (None, FINGERS, "Count", None, "", None),
        (None, CARS, "Objects", None, "", None),
    ],
)
def test_the_verdict(run, answer, classes, label, value, total, detail) -> None:
    said = run("summary", "summaryOf", state(answer, classes))
    assert said == {"label": label, "value": value, "sum": total, "detail": detail, "wordy": False}


def test_a_classifier_names_the_likeliest_class(run) -> None:
    chances = [{"class": 0, "name": "rust", "probability": 0.12}, {"class": 1, "name": "healthy", "probability": 0.88}]
    said = run("summary", "summaryOf", state({"task": "classify", "probabilities": chances}, []))
    assert (said["value"], said["detail"], said["wordy"]) == ("healthy", "Probability 88%", True)


def test_the_count_follows_the_threshold(run) -> None:
    answer = found((5, 0.9), (2, 0.5), (1, 0.1))
    at = [run("summary", "summaryOf", state(answer, FINGERS, share))["value"] for share in (0.05, 0.3, 0.7, 0.95)]
    assert at == ["8", "7", "5", "0"]
