"""How `handful predict` prints its answers: a table, JSON Lines, or CSV."""

from __future__ import annotations

import csv
import json
import sys
from itertools import groupby
from typing import Any, Protocol

from handful_core.console import out, print_table

Answer = dict[str, Any]
"""A picture's `file` (of a video also `frame` and `seconds`), then what serving answers, or `error`."""

_SHADES = " .:-=+*#%@"
"""From no evidence to the most, in letters that every terminal has."""
_COLUMNS = (
    "file", "frame", "seconds", "model", "version", "package", "task", "count",
    "name", "score", "left", "top", "right", "bottom", "uncertain", "prediction_set", "out_of_distribution", "error",
)  # fmt: skip


class Printer(Protocol):
    """Prints answers."""

    def add(self, answer: Answer) -> None:
        """One more."""

    def finish(self) -> None:
        """There are no more."""


class JsonLines:
    """An object a line, as soon as it is there."""

    def add(self, answer: Answer) -> None:
        """One more."""
        sys.stdout.write(json.dumps(answer, default=str) + "\n")
        sys.stdout.flush()

    def finish(self) -> None:
        """There are no more."""


class Csv:
    """A row for each object that was found, or for a classifier's first class; one without a name if there is none."""

    def __init__(self) -> None:
        self._writer = csv.DictWriter(sys.stdout, _COLUMNS, extrasaction="ignore", lineterminator="\n")
        self._writer.writeheader()

    def add(self, answer: Answer) -> None:
        """One more."""
        whole = answer | {"prediction_set": _set(answer)}
        self._writer.writerows(whole | cells for cells in _objects(answer))

    def finish(self) -> None:
        """There are no more."""


class Tables:
    """For people: a table for each model that answered, when all answers are there.

    Args:
        top: how many of a classifier's classes are named.
    """

    def __init__(self, top: int) -> None:
        self._top = top
        self._answers: list[Answer] = []

    def add(self, answer: Answer) -> None:
        """One more."""
        if "error" not in answer:  # Standard error has those.
            self._answers.append(answer)

    def finish(self) -> None:
        """Print them."""
        # Another version may have become champion between two files.
        for (title, task), answers in groupby(self._answers, lambda answer: (_title(answer), answer["task"])):
            self._show(title, task, list(answers))

    def _show(self, title: str, task: str, answers: list[Answer]) -> None:
        if task == "detect":
            found = [(_place(a), "" if a["count"] is None else a["count"], _found(a)) for a in answers]
            print_table(title, ("file", "count", "found"), found)
            return
        rows = [(_place(a), _likely(a, self._top), _set(a), _doubts(a)) for a in answers]
        print_table(title, ("file", "most likely", "prediction set", "mind"), rows)
        for answer in answers:
            if shown := answer.get("explanation"):
                lines = ("  " + "".join(map(_shade, row)) for row in shown["values"])
                heading = f"{_place(answer)}: where it sees {shown['name']}"
                out.print("\n".join([heading, *lines]), highlight=False, markup=False)


def _objects(answer: Answer) -> list[dict[str, Any]]:
    if found := answer.get("detections"):
        sides = ("left", "top", "right", "bottom")
        return [
            {"name": item["name"], "score": item["confidence"]} | dict(zip(sides, item["box"], strict=True))
            for item in found
        ]
    if ranked := answer.get("probabilities"):
        return [{"name": ranked[0]["name"], "score": ranked[0]["probability"], "top": ""}]  # The side of a box.
    return [{}]


def _title(answer: Answer) -> str:
    if digest := answer.get("package"):
        return f"{answer['model']}, package {digest[:12]} of {answer['created'][:10]}"
    return f"{answer['model']} version {answer['version']}"


def _place(answer: Answer) -> str:
    return answer["file"] if answer.get("frame") is None else f"{answer['file']} at {answer['seconds']:.2f} s"


def _found(answer: Answer) -> str:
    return ", ".join(f"{item['name']} {item['confidence']:.2f}" for item in answer["detections"]) or "nothing"


def _likely(answer: Answer, top: int) -> str:
    # A server of an earlier release has no `top`.
    classes = answer.get("top") or answer["probabilities"][:top]
    return ", ".join(f"{item['name']} {item['probability']:.2f}" for item in classes)


def _set(answer: Answer) -> str:
    return ", ".join(answer.get("prediction_set") or ())


def _doubts(answer: Answer) -> str:
    doubts = {"uncertain": "not certain", "out_of_distribution": "unlike the training images"}
    return ", ".join(words for field, words in doubts.items() if answer.get(field))


def _shade(value: float) -> str:
    """A cell of a map, twice as wide as high is in a terminal."""
    return 2 * _SHADES[min(int(value * len(_SHADES)), len(_SHADES) - 1)]
