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
_ADMIN = problem_responses(400, 401, 403, 404, 408, 413, 503)


class Promotion(BaseModel):
    """Which version becomes champion."""

    version: int = Field(ge=1, le=2**31 - 1)


class TrafficSplitUpdate(BaseModel):
    """What a challenger gets; what is not given stays."""

    model_config = ConfigDict(title="SharesGiven")  # The name that the API's description has had from the start.

    canary_share: float | None = Field(None, ge=0, le=1, allow_inf_nan=False)
    shadow_share: float | None = Field(None, ge=0, le=1, allow_inf_nan=False)


class EmptyBody(BaseModel):
    """An empty body."""

    model_config = ConfigDict(title="Nothing")


def _body(kind: type[BaseModel]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": kind.model_json_schema()}}}}


@router.post("/models/{name}/promote", response_model=PromotedAnswer, responses=_ADMIN, openapi_extra=_body(Promotion))
async def promote(request: Request, name: Name, parts: State, _: AdminCaller) -> PromotedAnswer:
    """Make a version the champion, once it has shown that it can be served: a bad one is refused here."""
    version = (await read_json(request, parts, Promotion)).version
    await parts.fleet.find(ModelRef(name, version))
    return _promoted(parts, name, await parts.fleet.promote(name, version))


@router.post("/models/{name}/rollback", response_model=PromotedAnswer, responses=_ADMIN, openapi_extra=_body(EmptyBody))
async def rollback(request: Request, name: Name, parts: State, _: AdminCaller) -> PromotedAnswer:
    """Make the previous champion the champion again, once it has shown that it can be served."""
    await read_json(request, parts, EmptyBody)
    return _promoted(parts, name, await parts.fleet.rollback(name))


@router.get("/rollouts", response_model=RolloutsAnswer, responses=problem_responses(401, 403))
async def rollouts(parts: State, _: PredictCaller) -> RolloutsAnswer:
    """Every model's challenger, what it gets, and what came of it."""
    return RolloutsAnswer(rollouts=[_rollout(parts, name) for name in parts.rollout.names()])


@router.put(
    "/models/{name}/rollout", response_model=RolloutAnswer, responses=_ADMIN, openapi_extra=_body(TrafficSplitUpdate)
)
async def set_rollout(request: Request, name: Name, parts: State, _: AdminCaller) -> RolloutAnswer:
    """Give a model's challenger other shares, until the server ends; its counts begin anew."""
    given = await read_json(request, parts, TrafficSplitUpdate)
    parts.fleet.catalog.resolve(ModelRef(name))  # It must be there.
    now = parts.rollout.shares(name)
    canary = now.canary if given.canary_share is None else given.canary_share
    shadow = now.shadow if given.shadow_share is None else given.shadow_share
    parts.rollout.set(name, TrafficSplit(canary, shadow))
    return _rollout(parts, name)


def _promoted(parts: AppState, name: str, champion: int) -> PromotedAnswer:
    return PromotedAnswer(model=name, champion=champion, previous=parts.fleet.catalog.aliases(name).get(PREVIOUS))


def _rollout(parts: AppState, name: str) -> RolloutAnswer:
    rollout, catalog = parts.rollout, parts.fleet.catalog
    key, shares, tally = rollout.challenger(name), rollout.shares(name), rollout.tally(name)
    return RolloutAnswer(
        model=name,
        champion=catalog.champions.get(name),
        challenger=key.version if key else None,
        loaded=key is not None and parts.fleet.store.get(key) is not None,
        canary_share=shares.canary,
        shadow_share=shares.shadow,
        answered={"champion": tally.champion, "challenger": tally.challenger},
        compared=dict(tally.compared),
    )


_BYTES = 65_536
_Model = TypeVar("_Model", bound=BaseModel)


async def read_json(request: Request, parts: AppState, kind: type[_Model]) -> _Model:
    """A request's body; an empty one stands for {}.

    Raises:
        BadRequestError: it is no JSON, or not what is asked for.
    """
    with parts.intake.body(request, _BYTES) as body:
        data = await body.read()
    try:
        return kind.model_validate_json(data or b"{}")
    except ValidationError as error:
        raise BadRequestError(describe_validation_error("field", error.errors()[0])) from error
