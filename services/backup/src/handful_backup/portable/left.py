"""What a server has and REST does not carry."""

from __future__ import annotations

from handful_backup.portable.api import TRACES
from handful_core.errors import HandfulError
from handful_core.registry.rest import Rest

_EXPERIMENTS = 100


def count_left(rest: Rest, experiments: list[str]) -> dict[str, int]:
    """How many traces the server has, which REST does not carry over; and what cannot even be counted: -1."""
    traces = 0
    for start in range(0, len(experiments), _EXPERIMENTS):
        locations = [
            {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": number}}
            for number in experiments[start : start + _EXPERIMENTS]
        ]
        try:
            traces += sum(1 for _ in rest.search(TRACES, "traces", {"locations": locations}, 500))
        except HandfulError:  # MLflow before version 3 has them elsewhere.
            traces = -1
            break
    return {**({"traces": traces} if traces else {}), "evaluation datasets, scorers, webhooks, gateway, reviews": -1}
