"""Promote, roll back, and try challengers."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from handful_core.registry.records import PREVIOUS
from handful_serving.api.errors import problem_responses
from handful_serving.api.parameters import describe_validation_error
from handful_serving.api.schemas import PromotedAnswer, RolloutAnswer, RolloutsAnswer
from handful_serving.api.security import AdminCaller, PredictCaller
from handful_serving.api.state import AppState, State
from handful_serving.domain.model_ref import ModelRef
from handful_serving.domain.rollout import TrafficSplit
from handful_serving.errors import BadRequestError

router = APIRouter(tags=["rollout"])
Name = Annotated[str, Path(min_length=1, max_length=256)]
_MAX_BYTES = 65_536
_Model = TypeVar("_Model", bound=BaseModel)
_ADMIN = problem_responses(400, 401, 403, 404, 408, 413, 503)


class Promotion(BaseModel):
    """Which version becomes champion."""

    model_config = ConfigDict(extra="forbid")

    version: int = Field(ge=1, le=2**31 - 1)


class TrafficSplitUpdate(BaseModel):
    """What a challenger gets; what is not given stays."""

    # The title is the name that the API's description has had from the start.
    model_config = ConfigDict(extra="forbid", title="SharesGiven")

    canary_share: float | None = Field(None, ge=0, le=1, allow_inf_nan=False)
    shadow_share: float | None = Field(None, ge=0, le=1, allow_inf_nan=False)


class EmptyBody(BaseModel):
    """An empty body."""

    model_config = ConfigDict(extra="forbid", title="Nothing")


def _body(kind: type[BaseModel]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": kind.model_json_schema()}}}}


@router.post("/models/{name}/promote", response_model=PromotedAnswer, responses=_ADMIN, openapi_extra=_body(Promotion))
async def promote(request: Request, name: Name, state: State, _: AdminCaller) -> PromotedAnswer:
    """Make a version the champion, once it has shown that it can be served: a bad one is refused here."""
    version = (await _read_json(request, state, Promotion)).version
    await state.manager.find(ModelRef(name, version))
    return _promoted(state, name, await state.manager.promote(name, version))


@router.post(
    "/models/{name}/rollback",
    response_model=PromotedAnswer,
    responses=_ADMIN | problem_responses(409),
    openapi_extra=_body(EmptyBody),
)
async def rollback(request: Request, name: Name, state: State, _: AdminCaller) -> PromotedAnswer:
    """Make the previous champion the champion again, once it has shown that it can be served.

    A second rollback is refused: it would bring back what the first took away.
    """
    await _read_json(request, state, EmptyBody)
    return _promoted(state, name, await state.manager.rollback(name))


@router.get("/rollouts", response_model=RolloutsAnswer, responses=problem_responses(401, 403))
async def rollouts(state: State, _: PredictCaller) -> RolloutsAnswer:
    """Every model's challenger, what it gets, and what came of it."""
    return RolloutsAnswer(rollouts=[_rollout(state, name) for name in state.rollout.names()])


@router.put(
    "/models/{name}/rollout", response_model=RolloutAnswer, responses=_ADMIN, openapi_extra=_body(TrafficSplitUpdate)
)
async def set_rollout(request: Request, name: Name, state: State, _: AdminCaller) -> RolloutAnswer:
    """Give a model's challenger other shares, until the server ends; its counts begin anew."""
    update = await _read_json(request, state, TrafficSplitUpdate)
    state.manager.catalog.resolve(ModelRef(name))  # It must be there.
    split = state.rollout.split(name)
    canary = split.canary if update.canary_share is None else update.canary_share
    shadow = split.shadow if update.shadow_share is None else update.shadow_share
    state.rollout.set_split(name, TrafficSplit(canary, shadow))
    return _rollout(state, name)


def _promoted(state: AppState, name: str, champion: int) -> PromotedAnswer:
    return PromotedAnswer(model=name, champion=champion, previous=state.manager.catalog.aliases(name).get(PREVIOUS))


def _rollout(state: AppState, name: str) -> RolloutAnswer:
    rollout, catalog = state.rollout, state.manager.catalog
    challenger, split, stats = rollout.challenger(name), rollout.split(name), rollout.stats(name)
    return RolloutAnswer(
        model=name,
        champion=catalog.champions.get(name),
        challenger=challenger.version if challenger else None,
        loaded=challenger is not None and state.manager.store.get(challenger) is not None,
        canary_share=split.canary,
        shadow_share=split.shadow,
        answered={"champion": stats.champion, "challenger": stats.challenger},
        compared=dict(stats.compared),
    )


async def _read_json(request: Request, state: AppState, kind: type[_Model]) -> _Model:
    """The JSON of a request's body; an empty body stands for {}.

    Raises:
        BadRequestError: it is not JSON, or not what is asked for.
    """
    with state.body_budget.body(request, _MAX_BYTES) as body:
        data = await body.read()
    try:
        return kind.model_validate_json(data or b"{}")
    except ValidationError as error:
        raise BadRequestError(describe_validation_error("field", error.errors()[0], kind.model_fields)) from error
