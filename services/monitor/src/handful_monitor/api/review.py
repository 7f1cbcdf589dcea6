"""GET, PUT and DELETE below /review: captured pictures, and what people say about them.

Serving passes these on and checks API keys: the monitor itself asks for none. It answers no web page, whatever name
that gave this machine: only what asks it by an address or a plain name, and without an `Origin`, is answered.
"""

from __future__ import annotations

import ipaddress
import re
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from fastapi import APIRouter, Body, Depends, Header, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request

from handful_core.review import Annotation, CapturedPicture, Review, Status
from handful_core.review.records import parse_annotation
from handful_monitor.api.state import State

CALLER_HEADER = "X-Handful-Caller"
"""Name of the API key that serving has checked."""
_REVISION = re.compile(r'"?(\d{1,15})"?')


async def _is_no_page(request: Request) -> None:
    """Refuse what a web page could send through a browser on this machine."""
    if "origin" in request.headers or not _is_plain(request.headers.get("host", "")):
        raise HTTPException(HTTPStatus.FORBIDDEN, "pictures are shown by way of serving: ask /monitor/review there")


router = APIRouter(prefix="/review", tags=["review"], dependencies=[Depends(_is_no_page)])

ModelName = Annotated[str, Query(min_length=1, max_length=256)]


class ReviewedModel(BaseModel):
    """A model that has pictures."""

    name: str
    open: int = Field(description="Pictures that wait for a review.")
    done: int


class ReviewModelsAnswer(BaseModel):
    """All models that have pictures."""

    models: list[ReviewedModel]


class ReviewPicturesAnswer(BaseModel):
    """A model's pictures. `pictures` are captured/<id>.json with `revision`, and `review` if there is one."""

    pictures: list[dict[str, Any]] = Field(
        description="The unsure ones first, those chosen by chance strewn between them; of reviewed ones the newest "
        "review first."
    )
    open: int = Field(description="Pictures that wait for a review, also those that are not listed.")
    done: int


class ReviewRequest(BaseModel):
    """What a person says about a picture."""

    model_config = ConfigDict(extra="forbid")

    status: Status
    annotation: dict[str, Any] | None = Field(
        None,
        description='{"objects": [{"name", "box": [x1, y1, x2, y2]}]} in pixels of the JPEG, or {"name": "rust"} of a '
        "classifier. An accepted picture needs none: it gets the model's answer.",
    )


class DeletedAnswer(BaseModel):
    """What is gone."""

    deleted: int


@router.get("/models")
def models(state: State) -> ReviewModelsAnswer:
    """Models that have pictures. In a thread, as all of these: MLflow may take its time."""
    found = []
    for name in state.reviews.models():
        done = state.reviews.reviewed(name)
        ids = {picture.id for picture in state.reviews.pictures(name)}
        if ids:
            found.append(ReviewedModel(name=name, open=len(ids - done), done=len(ids & done)))
    return ReviewModelsAnswer(models=found)


@router.get("/pictures")
def pictures(
    state: State,
    model: ModelName,
    status: Literal["open", "done"] = "open",
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> ReviewPicturesAnswer:
    """A model's pictures that wait for a review, or that have one."""
    found, done = state.reviews.pictures(model), state.reviews.reviewed(model)
    waiting = [picture for picture in found if picture.id not in done]
    if status == "open":
        listed = [_shown(each, None) for each in sorted(waiting, key=_worth, reverse=True)[:limit]]
    else:
        reviews = state.reviews.reviews(model)
        reviewed = sorted((p for p in found if p.id in reviews), key=lambda p: reviews[p.id].at, reverse=True)
        listed = [_shown(each, reviews[each.id]) for each in reviewed[:limit]]
    return ReviewPicturesAnswer(pictures=listed, open=len(waiting), done=len(found) - len(waiting))


@router.get("/pictures/{picture_id}/image", response_class=Response)
def image(picture_id: str, state: State) -> Response:
    """A picture's JPEG, after the face blur."""
    return Response(state.reviews.image(picture_id), media_type="image/jpeg")


@router.put("/pictures/{picture_id}")
def review(
    picture_id: str,
    state: State,
    response: Response,
    said: Annotated[ReviewRequest, Body()],
    if_match: Annotated[str | None, Header()] = None,
    caller: Annotated[str, Header(alias=CALLER_HEADER, max_length=256)] = "",
) -> dict[str, Any]:
    """Keep a review. `If-Match` has the revision that was read, 0 for a picture without a review."""
    picture = state.reviews.picture(picture_id)
    revision = _revision(if_match) + 1
    kept = Review(picture_id, revision, said.status, datetime.now(UTC), caller, _annotation(said, picture))
    state.reviews.write(kept)
    response.headers["ETag"] = f'"{revision}"'
    return kept.to_json()


@router.delete("/pictures/{picture_id}")
def delete(picture_id: str, state: State) -> DeletedAnswer:
    """Delete a picture, its record and its review for good."""
    state.reviews.delete(picture_id)
    return DeletedAnswer(deleted=1)


@router.delete("/pictures")
def delete_all(state: State, model: ModelName) -> DeletedAnswer:
    """Delete all pictures of a model with their reviews for good, also those that are still on their way."""
    return DeletedAnswer(deleted=state.reviews.delete_all(model))


def _annotation(said: ReviewRequest, picture: CapturedPicture) -> Annotation:
    if said.status == "not usable":
        return Annotation()
    if said.annotation is None and said.status == "accepted":
        return parse_annotation(picture.proposal.to_json(), picture)
    return parse_annotation(said.annotation, picture)


def _revision(if_match: str | None) -> int:
    if if_match is None:
        raise HTTPException(
            HTTPStatus.PRECONDITION_REQUIRED, "say which revision you have read: If-Match, 0 for a picture without one"
        )
    if (found := _REVISION.fullmatch(if_match.strip())) is None:
        raise HTTPException(HTTPStatus.BAD_REQUEST, "If-Match is a revision, such as 0 or 3")
    return int(found[1])


def _worth(picture: CapturedPicture) -> float:
    """What is more worth a person's minute. Pictures that chance chose have a place by chance, always the same one."""
    return int(picture.id[:8], 16) / (1 << 32) if picture.reason == "random" else picture.score


def _shown(picture: CapturedPicture, found: Review | None) -> dict[str, Any]:
    shown = picture.to_json() | {"revision": found.revision if found else 0}
    return shown | ({"review": found.to_json()} if found else {})


def _is_plain(host: str) -> bool:
    """An address, or a name without a dot, which no web page has."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        ipaddress.ip_address(name)
    except ValueError:
        return bool(host) and "." not in host
    return True
