"""What the routes work with. It is made once, when the application starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from handful_serving.adapters.prometheus import Metrics
from handful_serving.domain.fleet import Fleet
from handful_serving.domain.overview import Overview
from handful_serving.domain.prediction import Predictor
from handful_serving.settings import ServingSettings


@dataclass(frozen=True, slots=True)
class Parts:
    """The application's parts."""

    settings: ServingSettings
    fleet: Fleet
    predictor: Predictor
    overview: Overview
    metrics: Metrics


def parts_of(request: Request) -> Parts:
    """The parts of the application that a request came to."""
    parts: Parts = request.app.state.parts
    return parts


AppParts = Annotated[Parts, Depends(parts_of)]
