"""Pages read as people talk: short sentences, "you", no chains of semicolons, lines that fit."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.voice import Voice, voice_of

_WORDS = 15.0
_SEMICOLONS = 0.01
_YOU = 15.0
"""Well-read manuals of the field have 18 to 20 per 1,000 words."""


def _pages(repository: Path) -> list[str]:
    found = [*repository.glob("*.md"), *repository.glob("docs/**/*.md"), *repository.glob("models/*.md")]
    return sorted(path.relative_to(repository).as_posix() for path in found)


def _faults(name: str, voice: Voice) -> list[str]:
    """What does not fit; decision records and generated pages address nobody."""
    addresses = not name.startswith(("docs/adr/", "docs/reference/")) and name != "CHANGELOG.md"
    checks = {
        f"{voice.words_per_sentence:.1f} words a sentence, at most {_WORDS}": voice.words_per_sentence <= _WORDS,
        f"{voice.semicolons:.1%} of the sentences with a semicolon, at most {_SEMICOLONS:.0%}": voice.semicolons
        <= _SEMICOLONS,
        f'{voice.you:.1f} times "you" per 1,000 words, at least {_YOU}': voice.you >= _YOU or not addresses,
        f"{voice.long_lines} lines over 120 characters": not voice.long_lines,
    }
    return [text for text, fits in checks.items() if not fits]


def test_pages_speak_plainly(repository: Path) -> None:
    faults = {name: _faults(name, voice_of((repository / name).read_text("utf-8"))) for name in _pages(repository)}
    assert {name: found for name, found in faults.items() if found} == {}


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("You run it. It ends.\n", Voice(2.5, 0.0, 200.0, 0)),
        ("One; two. Your `a; b` is code.\n\n| a; b | c |\n|---|---|\n", Voice(3.0, 0.5, 1000 / 6, 0)),
        (f"```\n{'x; ' * 60}\n```\n- {'word ' * 30}\n", Voice(30.0, 0.0, 0.0, 1)),
        ("    indented; code\n\nSee [your page](a;b.md).\n", Voice(3.0, 0.0, 1000 / 3, 0)),
    ],
)
def test_the_counts_are_right(page: str, expected: Voice) -> None:
    assert voice_of(page) == expected
