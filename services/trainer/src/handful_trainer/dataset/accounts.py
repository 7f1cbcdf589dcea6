"""Accounts of a dataset: whatever a source finds is used, or left out under a named reason, and the sums balance.

books = Books()
books.find("label files", len(files))
books.use("label files", 12)
books.leave_out("label files", "without an image", "labels/h07.txt", hint="name it like its image")
books.close()                                   # raises if found is not used + left out
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from handful_trainer.dataset.errors import AccountingError, EmptyDatasetError

ANNOTATION_RECORDS, IMAGE_FILES, IMAGES = "annotations", "image files", "images"
LABEL_FILES = "label files"
LEFT_BY_SYSTEM = "left by the system"
"""Reason: previews, copies and notes of operating systems and tools, which are no data."""
NOT_LISTED = "not listed"
"""Reason: nothing in the source names it."""
OF_UNLISTED_IMAGE = "of an unlisted image"
OLDER = "replaced by a newer one"
NO_SPLIT = "that say no split"
UNKNOWN_LIST = "of an unknown name"
OUTSIDE_IMAGE_SETS = "outside ImageSets"
_HARMLESS = frozenset({LEFT_BY_SYSTEM, NO_SPLIT, UNKNOWN_LIST, OUTSIDE_IMAGE_SETS})
"""Reasons for which everything of a kind may be left out."""
_NAMES = 3
"""First names that are kept of each reason."""
_REASONS = 3
"""Commonest reasons that are named where nothing can be used."""


class LeftOut(NamedTuple):
    """What was left out for one reason."""

    number: int
    first: tuple[str, ...]
    """Names of the first of them."""
    hint: str = ""
    """What to do about it, where it smells of a mistake; such a reason becomes a warning."""

    def __str__(self) -> str:
        """The first names, and how many more there are."""
        return few(self.first, self.number)


def few(names: Sequence[str], number: int | None = None) -> str:
    """The first names, and how many more there are.

    Args:
        names: them, or the first of them.
        number: how many there are, if not all are given.
    """
    first = names[:_NAMES]
    more = (len(names) if number is None else number) - len(first)
    return ", ".join(first) + (f" and {more} more" if more else "")


class Account(NamedTuple):
    """What became of all things of one kind."""

    kind: str
    """What they are called, in the plural: label files."""
    found: int
    used: int
    left_out: Mapping[str, LeftOut]
    """By reason: a few words that fit behind a number and the kind, such as `without an image`."""

    @property
    def balance(self) -> int:
        """How many were found and neither used nor left out; anything but 0 is a defect of the source's code."""
        return self.found - self.used - sum(entry.number for entry in self.left_out.values())

    def as_json(self) -> dict[str, Any]:
        """For report.json."""
        left_out = {
            reason: {"count": entry.number, "first": list(entry.first)} for reason, entry in self.left_out.items()
        }
        return {"kind": self.kind, "found": self.found, "used": self.used, "left_out": left_out}

    def warnings(self) -> Iterable[str]:
        """A sentence for each reason that smells of a mistake."""
        for reason, entry in self.left_out.items():
            if entry.hint:
                yield f"{entry.number} of {self.found} {self.kind} {reason} ({entry}): {entry.hint}"


class Books:
    """Entered while a source is read."""

    def __init__(self) -> None:
        self._found: dict[str, int] = {}
        self._used: dict[str, int] = {}
        self._left_out: dict[str, dict[str, LeftOut]] = {}

    def find(self, kind: str, number: int = 1) -> None:
        """Count things at the door, before anything is decided about them."""
        self._found[kind] = self._found.get(kind, 0) + number

    def use(self, kind: str, number: int = 1) -> None:
        """Count things that are used."""
        self._used[kind] = self._used.get(kind, 0) + number

    def leave_out(self, kind: str, reason: str, name: object, hint: str = "") -> None:
        """Count one thing that is not used.

        Args:
            kind: what it is, in the plural.
            reason: a few words that fit behind a number and the kind.
            name: tells which it is.
            hint: what to do, if it smells of a mistake.
        """
        entries = self._left_out.setdefault(kind, {})
        number, first, known = entries.get(reason, (0, (), ""))
        first = (*first, str(name)) if len(first) < _NAMES else first
        entries[reason] = LeftOut(number + 1, first, hint or known)

    def close(self) -> tuple[Account, ...]:
        """The accounts, in the order in which their kinds were met.

        Raises:
            AccountingError: one does not balance.
        """
        kinds = dict.fromkeys([*self._found, *self._used, *self._left_out])
        accounts = tuple(
            Account(kind, self._found.get(kind, 0), self._used.get(kind, 0), self._left_out.get(kind, {}))
            for kind in kinds
        )
        check_balance(accounts)
        return accounts


def check_balance(accounts: Iterable[Account]) -> None:
    """Make sure that nothing got lost.

    Raises:
        AccountingError: an account does not balance.
    """
    for account in accounts:
        if account.balance:
            raise AccountingError(
                f"of {account.found} {account.kind} {abs(account.balance)} are "
                f"{'not accounted for' if account.balance > 0 else 'counted twice'}",
                "this is a defect of Handful: report it with a list of the dataset's files",
            )


def check_used(accounts: Iterable[Account], hints: Mapping[str, str] | None = None) -> None:
    """Refuse a source of which all things of one kind are left out: what is missing is a setting, not a thing.

    Args:
        accounts: what became of everything.
        hints: what to do by reason, for reasons without a hint of their own.

    Raises:
        EmptyDatasetError: it names the commonest reason.
    """
    for account in accounts:
        serious = {reason: entry for reason, entry in account.left_out.items() if reason not in _HARMLESS}
        if account.used or not serious:
            continue
        by_number = sorted(serious.items(), key=lambda item: -item[1].number)
        reason, entry = by_number[0]
        reasons = "; ".join(f"{entry.number} {reason} ({entry})" for reason, entry in by_number[:_REASONS])
        raise EmptyDatasetError(
            f"none of the {account.found} {account.kind} can be used: {reasons}",
            entry.hint or (hints or {}).get(reason, "correct the dataset, or its settings"),
        )


def count_left_out(accounts: Iterable[Account], kind: str, reason: str) -> int:
    """How many things of a kind were left out for a reason."""
    entries = (account.left_out.get(reason) for account in accounts if account.kind == kind)
    return sum(entry.number for entry in entries if entry)
