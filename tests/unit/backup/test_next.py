"""Each import ends with the command that comes next."""

from __future__ import annotations

import pytest

from handful_backup.cli.restore import _next
from handful_backup.mlflow_target import Mode


@pytest.mark.parametrize(
    ("backup", "way", "embedded", "dry_run", "expected"),
    [
        (
            "a.zip",
            Mode.AUTO,
            False,
            False,
            "next: handful verify a.zip --server proves that the server holds all of it",
        ),
        ("a b.zip", Mode.AUTO, True, False, "next: handful verify 'a b.zip' --server --embedded proves that"),
        ("a.zip", Mode.REST, False, False, "next: handful verify a.zip --server --way portable proves that"),
        (None, Mode.AUTO, False, False, "next: handful models lists what there is now"),
        ("a.zip", Mode.AUTO, False, True, "next: the same without --dry-run"),
    ],
)
def test_an_import_says_how_to_prove_it(
    backup: str | None, way: Mode, embedded: bool, dry_run: bool, expected: str
) -> None:
    assert _next(backup, way, embedded=embedded, dry_run=dry_run).startswith(expected)
