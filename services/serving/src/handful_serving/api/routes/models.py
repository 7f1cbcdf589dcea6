"""GET /models, /models/{name} and /classes."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Path, Query

from handful_serving.api.errors import problem_responses
from handful_serving.api.parameters import ModelParameters
from handful_serving.api.schemas import (
    ClassAnswer,
    ClassesAnswer,
    ModelAnswer,
    ModelsAnswer,
    RunAnswer,
    ThresholdsAnswer,
)
from handful_serving.api.security import PredictCaller
from handful_serving.api.state import State
from handful_serving.domain.model_status import ModelSummary

router = APIRouter(tags=["models"])
Name = Annotated[str, Path(min_length=1, max_length=256)]
Number = Annotated[int, Path(ge=1, le=2**31 - 1)]


@router.get("/models", response_model=ModelsAnswer, responses=problem_responses(401, 403))
async def models(state: State, _: PredictCaller) -> ModelsAnswer:
    """All models that can be asked for, with their versions."""
    views = await state.model_status.models()
    return ModelsAnswer(
        default=state.manager.catalog.default,
        models=[_model(view) for view in views],
        capture=state.settings.capture,
    )


@router.get("/models/{name}", response_model=ModelAnswer, responses=problem_responses(400, 401, 403, 404))
async def model(name: Name, state: State, _: PredictCaller) -> ModelAnswer:
    """One model with its versions."""
    return _model(await state.model_status.model(name))


@router.get(
    "/models/{name}/versions/{version}/run",
    response_model=RunAnswer,
    responses=problem_responses(400, 401, 403, 404, 503),
)
async def run(name: Name, version: Number, state: State, _: PredictCaller) -> RunAnswer:
    """The training that made a version: its metrics and their curves."""
    found = await state.model_status.run(name, version)
    # MLflow opens in its view for language models otherwise, which has no entry for models.
    view = "workflowType=machine_learning"
    page = f"{state.mlflow_page}/#/experiments/{found.experiment_id}/runs/{found.run_id}?{view}"
    return RunAnswer(**asdict(found), page=page)


@router.get("/classes", response_model=ClassesAnswer, responses=problem_responses(400, 401, 403, 404, 503))
async def classes(state: State, query: Annotated[ModelParameters, Query()], _: PredictCaller) -> ClassesAnswer:
    """The classes of a model, what each is worth when counted, and the model's own thresholds."""
    loaded = await state.manager.find(query.ref)
    manifest = loaded.model.manifest
    return ClassesAnswer(
        model=loaded.model_version.name,
        version=loaded.model_version.version,
        classes=[
            ClassAnswer(id=number, name=name, count=manifest.counts.get(name))
            for number, name in enumerate(manifest.classes)
        ],
        thresholds=ThresholdsAnswer(confidence=manifest.thresholds.confidence, iou=manifest.thresholds.iou),
    )


def _model(view: ModelSummary) -> ModelAnswer:
    return ModelAnswer.model_validate(asdict(view))
