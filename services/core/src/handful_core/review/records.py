"""What is kept of a captured picture and of its review: two JSON files beside the JPEG.

captured/<id>.json
{"schema": 1, "id": "<32 hex digits>", "at": "2026-11-29T08:00:00.123Z", "model": "fingers", "version": "3",
 "package": "<digest>", "source": "camera-1", "task": "detect", "width": 640, "height": 480, "reason": "unsure",
 "score": 0.83, "answer": {"objects": [{"name": "3", "confidence": 0.41, "box": [12.5, 30.0, 210.0, 400.0]}]},
 "profile": {"brightness": 0.41, …}, "sha256": "<of the JPEG>", "phash": 1234}

reviewed/<id>.json
{"schema": 1, "id": "<the same>", "revision": 1, "status": "corrected", "at": "…", "by": "anna",
 "annotation": {"objects": [{"name": "4", "box": [12.5, 30.0, 210.0, 400.0]}]}}

A classifier's answer is {"probabilities": [{"name", "probability"}]}, its annotation {"name": "rust"}.
Boxes are [x1, y1, x2, y2] in pixels of the JPEG.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, cast, get_args

from handful_core.errors import DataError

Reason = Literal["unsure", "disagreement", "random", "all", "label issue", "drift"]
Status = Literal["accepted", "corrected", "not usable"]
Task = Literal["detect", "classify"]
Box = tuple[float, float, float, float]
"""x1, y1, x2, y2 in pixels of the JPEG."""

REASONS: tuple[Reason, ...] = get_args(Reason)
STATUSES: tuple[Status, ...] = get_args(Status)
SCHEMA = 1
_ID = re.compile(r"[0-9a-f]{32}")
_LONGEST_NAME = 256
_MOST_OBJECTS = 1000
_MOST_PIXELS = 1 << 16
"""Of a side."""


@dataclass(frozen=True, slots=True)
class ScoredObject:
    """An object that the model saw."""

    name: str
    confidence: float
    box: Box


@dataclass(frozen=True, slots=True)
class Probability:
    """How probable a classifier finds a class."""

    name: str
    probability: float


@dataclass(frozen=True, slots=True)
class ReviewedObject:
    """An object that a person says is there."""

    name: str
    box: Box


@dataclass(frozen=True, slots=True)
class Annotation:
    """What a picture shows: objects, or the class of the whole picture."""

    objects: tuple[ReviewedObject, ...] = ()
    name: str = ""
    """A classifier's class; empty for objects."""

    def to_json(self) -> dict[str, Any]:
        """As the file has it."""
        if self.name:
            return {"name": self.name}
        return {"objects": [{"name": each.name, "box": list(each.box)} for each in self.objects]}


@dataclass(frozen=True, slots=True)
class CapturedPicture:
    """A picture that waits for a person, with the model's answer. Nothing of it changes later."""

    id: str
    """32 hex digits."""
    at: datetime
    """When it was answered, with a time zone."""
    model: str
    version: str
    package: str
    """The package's digest."""
    source: str
    """Which camera or client it came from, as the request said; "" if it said nothing."""
    task: Task
    width: int
    """Pixels of the JPEG, which may be smaller than the picture that was sent."""
    height: int
    reason: Reason
    score: float
    """How unsure the model was, 0 to 1."""
    sha256: str
    """Of the JPEG."""
    phash: int
    """Perceptual hash, 64 bits: pictures that look alike differ in few of them; -1 of a flat one."""
    objects: tuple[ScoredObject, ...] = ()
    probabilities: tuple[Probability, ...] = ()
    """The most probable class first."""
    profile: Mapping[str, float | int | str | None] = field(default_factory=dict)
    """What the picture looks like and what its answer is like: the same numbers as in the prediction log."""

    @property
    def day(self) -> str:
        """UTC, such as 2026-11-29."""
        return self.at.astimezone(UTC).date().isoformat()

    @property
    def proposal(self) -> Annotation:
        """The model's answer, as a person would write it."""
        if self.task == "classify":
            return Annotation(name=self.probabilities[0].name if self.probabilities else "")
        return Annotation(tuple(ReviewedObject(each.name, each.box) for each in self.objects))

    def to_json(self) -> dict[str, Any]:
        """As the file has it."""
        answer = (
            {"probabilities": [{"name": each.name, "probability": each.probability} for each in self.probabilities]}
            if self.task == "classify"
            else {
                "objects": [
                    {"name": each.name, "confidence": each.confidence, "box": list(each.box)} for each in self.objects
                ]
            }
        )
        return {
            "schema": SCHEMA,
            "id": self.id,
            "at": _to_text(self.at),
            "model": self.model,
            "version": self.version,
            "package": self.package,
            "source": self.source,
            "task": self.task,
            "width": self.width,
            "height": self.height,
            "reason": self.reason,
            "score": self.score,
            "answer": answer,
            "profile": dict(self.profile),
            "sha256": self.sha256,
            "phash": self.phash,
        }


@dataclass(frozen=True, slots=True)
class Review:
    """What a person said about a picture."""

    id: str
    """The picture's."""
    revision: int
    """1 for the first; each change is one more."""
    status: Status
    at: datetime
    by: str
    """Name of the key; empty where no keys are asked for."""
    annotation: Annotation
    """Empty of a picture that is not usable."""

    def to_json(self) -> dict[str, Any]:
        """As the file has it."""
        return {
            "schema": SCHEMA,
            "id": self.id,
            "revision": self.revision,
            "status": self.status,
            "at": _to_text(self.at),
            "by": self.by,
            "annotation": self.annotation.to_json(),
        }


def parse_picture(content: bytes | str) -> CapturedPicture:
    """Read `captured/<id>.json`.

    Raises:
        DataError: it is no such file.
    """
    return cast("CapturedPicture", _parsed(content, _picture))


def parse_review(content: bytes | str) -> Review:
    """Read `reviewed/<id>.json`.

    Raises:
        DataError: it is no such file.
    """
    return cast("Review", _parsed(content, _review))


def parse_annotation(content: Any, picture: CapturedPicture) -> Annotation:
    """An annotation of a picture from JSON. Boxes are clipped to the picture.

    Raises:
        DataError: it does not fit the picture.
    """
    try:
        found = _annotation(content)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise DataError(f"the annotation cannot be read ({error})", "send objects with name and box, or a name") from (
            error
        )
    if bool(found.name) != (picture.task == "classify"):
        wanted = "a name" if picture.task == "classify" else "objects"
        raise DataError(f"the annotation of picture {picture.id} has no {wanted}", f"send {wanted}")
    return Annotation(tuple(_clipped(each, picture) for each in found.objects), found.name)


def is_id(text: str) -> bool:
    """Whether a text is a picture's id: then it is safe in a path."""
    return _ID.fullmatch(text) is not None


def _clipped(found: ReviewedObject, picture: CapturedPicture) -> ReviewedObject:
    x1, y1, x2, y2 = found.box
    box = (max(0.0, x1), max(0.0, y1), min(float(picture.width), x2), min(float(picture.height), y2))
    if box[2] - box[0] < 1 or box[3] - box[1] < 1:
        raise DataError(
            f"the box of {found.name!r} has no pixel in the picture", f"it is {picture.width} x {picture.height} pixels"
        )
    return ReviewedObject(found.name, box)


def _parsed(content: bytes | str, read: Any) -> CapturedPicture | Review:
    try:
        found: CapturedPicture | Review = read(json.loads(content, parse_constant=_refuse))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise DataError(f"a record of a picture is damaged ({error})", "delete the picture") from error
    return found


def _picture(content: Any) -> CapturedPicture:
    _check_schema(content)
    task, answer = _one_of(content["task"], get_args(Task)), content["answer"]
    profile = content["profile"]
    if not all(value is None or isinstance(value, (int, float, str)) for value in profile.values()):
        raise ValueError("profile")
    return CapturedPicture(
        id=_id(content["id"]),
        at=_time(content["at"]),
        model=_name(content["model"]),
        version=_word(content["version"]),
        package=_word(content["package"]),
        source=_word(content["source"]),
        task=task,
        width=_whole(content["width"], 1, _MOST_PIXELS),
        height=_whole(content["height"], 1, _MOST_PIXELS),
        reason=_one_of(content["reason"], REASONS),
        score=_number(content["score"]),
        sha256=_word(content["sha256"]),
        phash=_whole(content["phash"], -1, (1 << 64) - 1),
        objects=()
        if task == "classify"
        else tuple(
            ScoredObject(_name(each["name"]), _number(each["confidence"]), _box(each["box"]))
            for each in _list(answer["objects"])
        ),
        probabilities=()
        if task == "detect"
        else tuple(
            Probability(_name(each["name"]), _number(each["probability"])) for each in _list(answer["probabilities"])
        ),
        profile=profile,
    )


def _review(content: Any) -> Review:
    _check_schema(content)
    return Review(
        id=_id(content["id"]),
        revision=_whole(content["revision"], 1, 1 << 53),
        status=_one_of(content["status"], STATUSES),
        at=_time(content["at"]),
        by=_word(content["by"]),
        annotation=_annotation(content["annotation"]),
    )


def _annotation(content: Any) -> Annotation:
    if "name" in content:
        return Annotation(name=_name(content["name"]))
    objects = _list(content["objects"])
    return Annotation(tuple(ReviewedObject(_name(each["name"]), _box(each["box"])) for each in objects))


def _check_schema(content: Any) -> None:
    if content["schema"] != SCHEMA:
        raise ValueError(f"schema {content['schema']!r}")


def _id(value: Any) -> str:
    if not isinstance(value, str) or not is_id(value):
        raise ValueError(f"id {value!r}"[:80])
    return value


def _word(value: Any) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST_NAME:
        raise ValueError(f"{value!r} is no short text"[:80])
    return value


def _name(value: Any) -> str:
    if not (word := _word(value)).strip():
        raise ValueError("an empty name")
    return word


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list) or len(value) > _MOST_OBJECTS:
        raise ValueError("no list of at most 1000")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{value!r} is no number"[:80])
    return float(value)


def _whole(value: Any, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"{value!r} is no whole number from {least} to {most}"[:80])
    return value


def _box(value: Any) -> Box:
    x1, y1, x2, y2 = (_number(edge) for edge in value)
    if not (x1 < x2 and y1 < y2):
        raise ValueError("a box without width or height")
    return x1, y1, x2, y2


def _one_of(value: Any, words: tuple[Any, ...]) -> Any:
    if value not in words:
        raise ValueError(f"{value!r} is none of {', '.join(words)}"[:120])
    return value


def _time(value: Any) -> datetime:
    at = datetime.fromisoformat(value)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _to_text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no number")
