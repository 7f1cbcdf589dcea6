"""A cluster in memory, and the overlay `single` with little in it."""

from __future__ import annotations

from typing import Any

import pytest

from fakes.kubectl import FakeKubectl

RIGHT = {
    "models": {"fingers/1": "right"},
    "requests": 200,
    "failed": 0,
    "wrong": 0,
    "seconds": [0.05, 0.1],
    "errors": [],
}


def manifests(image: str = "handful/serving:1") -> list[dict[str, Any]]:
    """As they are rendered: blue."""
    colour = {"handful/colour": "blue"}
    template = {"metadata": {"labels": colour}, "spec": {"containers": [{"name": "serving", "image": image}]}}
    return [
        {"kind": "Namespace", "metadata": {"name": "handful"}},
        {"kind": "Service", "metadata": {"name": "serving"}, "spec": {"selector": dict(colour)}},
        {"kind": "StatefulSet", "metadata": {"name": "postgres"}, "spec": {}},
        {"kind": "Deployment", "metadata": {"name": "mlflow"}, "spec": {"template": {}}},
        {"kind": "Service", "metadata": {"name": "serving-blue", "labels": colour}, "spec": {"selector": dict(colour)}},
        {
            "kind": "Deployment",
            "metadata": {"name": "serving-blue", "labels": colour},
            "spec": {"selector": {"matchLabels": colour}, "template": template},
        },
        {
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "serving-blue", "labels": colour},
            "spec": {"scaleTargetRef": {"name": "serving-blue"}, "minReplicas": 2, "maxReplicas": 10},
        },
    ]


@pytest.fixture
def kubectl() -> FakeKubectl:
    return FakeKubectl(report=dict(RIGHT))
