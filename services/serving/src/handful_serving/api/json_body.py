"""Small JSON bodies."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from handful_serving.api.parameters import complaint
from handful_serving.api.parts import Parts
from handful_serving.domain.errors import BadRequestError

_BYTES = 65_536
_Model = TypeVar("_Model", bound=BaseModel)


async def read_json(request: Request, parts: Parts, kind: type[_Model]) -> _Model:
    """A request's body; an empty one stands for {}.

    Raises:
        BadRequestError: it is no JSON, or not what is asked for.
    """
    with parts.intake.body(request, _BYTES) as body:
        data = await body.read()
    try:
        return kind.model_validate_json(data or b"{}")
    except ValidationError as error:
        raise BadRequestError(complaint("field", error.errors()[0])) from error
