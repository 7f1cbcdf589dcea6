"""A label that is probably wrong, and the file that holds all of a dataset, the most suspicious first.

{"schema": 1, "task": "detect", "dataset": {…}, "model": "models:/fingers/3", "out_of_fold": false,
"checked": {"images": 1500, "labels": 2311}, "notes": […], "issues": [{"rank": 1, "image": "images/train/a.jpg",
"split": "train", "kind": "missed", "score": 0.97, "given": null, "proposed": {"name": "3", "box": […], …}}, …]}
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from handful_core.files import write_atomically
from handful_trainer.dataset.errors import DamagedFileError, MissingSourceError
from handful_trainer.dataset.prepared import PreparedDataset

ISSUES_FILE = "issues.json"
_SCHEMA = 1
IssueKind = Literal["missed", "spurious", "wrong class", "badly placed"]
Corners = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class NamedBox:
    """A class, and where it is seen."""

    name: str
    box: Corners | None = None
    """Left, top, right, bottom in pixels of the upright image; None for the whole image."""
    confidence: float | None = None
    """Of the model; None for a label."""

    def as_json(self) -> dict[str, Any]:
        """Without what is None."""
        box = {"box": [round(side, 1) for side in self.box]} if self.box else {}
        return {
            "name": self.name,
            **box,
            **({} if self.confidence is None else {"confidence": round(self.confidence, 4)}),
        }


@dataclass(frozen=True, slots=True)
class LabelIssue:
    """One label that is probably wrong, or one that is probably missing."""

    image: Path
    split: str
    kind: IssueKind
    score: float
    """0 to 1: how suspicious. It ranks, and is no probability."""
    given: NamedBox | None
    """The label; None where one is missing."""
    proposed: NamedBox | None
    """What the model says instead; None where it sees nothing."""


@dataclass(frozen=True, slots=True)
class FoundIssues:
    """What a task found in a dataset."""

    issues: Sequence[LabelIssue]
    """In any order."""
    images: int
    """That were looked at."""
    labels: int
    """That were looked at."""
    out_of_fold: bool
    """Was no label judged by a model that was trained on it?"""
    notes: tuple[str, ...] = ()
    """Sentences for people: what the ranking cannot know."""
    given: Mapping[Path, Sequence[NamedBox]] = field(default_factory=dict)
    """All labels of each image."""

    def ranked(self) -> list[LabelIssue]:
        """The most suspicious first; in a lasting order."""
        return sorted(self.issues, key=lambda issue: (-issue.score, str(issue.image), issue.kind))


def as_json(found: FoundIssues, dataset: PreparedDataset, model: str) -> dict[str, Any]:
    """The content of issues.json.

    Args:
        found: in the dataset.
        dataset: whose labels they are.
        model: what judged them, for people.
    """
    return {
        "schema": _SCHEMA,
        "task": dataset.task.name,
        "dataset": {"name": dataset.name, "fingerprint": dataset.fingerprint, "folder": str(dataset.root)},
        "model": model,
        "out_of_fold": found.out_of_fold,
        "checked": {"images": found.images, "labels": found.labels},
        "notes": list(found.notes),
        "issues": [_issue(rank, issue, dataset) for rank, issue in enumerate(found.ranked(), 1)],
    }


def _issue(rank: int, issue: LabelIssue, dataset: PreparedDataset) -> dict[str, Any]:
    return {
        "rank": rank,
        "image": issue.image.relative_to(dataset.root).as_posix(),
        "sha256": hashlib.sha256(issue.image.read_bytes()).hexdigest(),
        "split": issue.split,
        "kind": issue.kind,
        "score": round(issue.score, 4),
        "given": issue.given.as_json() if issue.given else None,
        "proposed": issue.proposed.as_json() if issue.proposed else None,
    }


def write_issues(path: Path, content: dict[str, Any]) -> None:
    """Write issues.json in one step."""
    write_atomically(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def read_issues(path: Path) -> dict[str, Any]:
    """Read what `write_issues` wrote.

    Args:
        path: the file, or the folder that holds it.

    Raises:
        MissingSourceError: there is none.
        DamagedFileError: it is something else.
    """
    path = path / ISSUES_FILE if path.is_dir() else path
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise MissingSourceError(f"there is no {path}", "handful data label-issues writes it") from None
    except ValueError as error:
        raise DamagedFileError(f"{path} is no valid JSON ({error})", "run handful data label-issues again") from None
    if not isinstance(content, dict) or content.get("schema") != _SCHEMA or not isinstance(content.get("issues"), list):
        raise DamagedFileError(f"{path} is no list of label issues", "run handful data label-issues again")
    return content
