"""Counts how a page reads: `python tests/support/voice.py [PAGE ...]` prints the counts of the pages.

Prose is what stands in paragraphs and lists. Tables count for semicolons only: their cells are words, not sentences.
Code, front matter and HTML comments count for nothing.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"^[ ]*(```|~~~).*?^[ ]*\1[ ]*$", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_CODE = re.compile(r"(`+)(?!`).+?\1", re.DOTALL)
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_ITEM = re.compile(r"^\s*(?:[-*+]|\d+\.)\s+")
_ADMONITION = re.compile(r"^(?:!!!|\?\?\?)")
_SENTENCE_END = re.compile(r"(?<=[.!?:])[)\"*_]*\s+(?=[^a-z])")
_WORD = re.compile(r"[^\W_][\w'.,/-]*")
_YOU = re.compile(r"\b(?:you|your|yours|yourself)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Voice:
    """The counts of one page."""

    words_per_sentence: float
    semicolons: float
    """Share of the sentences, and of the cells of tables, that have one."""
    you: float
    """"You" and "your" per 1,000 words."""
    long_lines: int
    """Lines over 120 characters, outside of tables and code."""


def voice_of(page: str) -> Voice:
    """Count."""
    text = _COMMENT.sub("", _FENCE.sub("", page))
    long_lines = sum(len(line) > 120 and not _is_row(line) for line in text.splitlines())
    text = _LINK.sub(r"\1", _CODE.sub("code", text))
    paragraphs, cells = _split(text)
    sentences = [sentence for paragraph in paragraphs for sentence in _SENTENCE_END.split(paragraph)]
    sentences = [sentence for sentence in sentences if _WORD.search(sentence)]
    words = sum(len(_WORD.findall(sentence)) for sentence in sentences)
    said = [*sentences, *cells]
    return Voice(
        words_per_sentence=words / max(len(sentences), 1),
        semicolons=sum(";" in part for part in said) / max(len(said), 1),
        you=1000 * sum(len(_YOU.findall(sentence)) for sentence in sentences) / max(words, 1),
        long_lines=long_lines,
    )


def _is_row(line: str) -> bool:
    return line.lstrip().startswith("|")


def _split(text: str) -> tuple[list[str], list[str]]:
    """The paragraphs, and the cells of the tables."""
    paragraphs: list[str] = []
    cells: list[str] = []
    current: list[str] = []
    for line in [*text.splitlines(), ""]:
        indented_code = line.startswith("    ") and not current
        ends = not line.strip() or line.startswith("#") or _is_row(line) or indented_code or _ADMONITION.match(line)
        if (ends or _ITEM.match(line)) and current:
            paragraphs.append(" ".join(current))
            current = []
        if _is_row(line):
            cells += [cell.strip() for cell in line.strip().strip("|").split("|") if re.search(r"\w", cell)]
        elif not ends:
            current.append(_ITEM.sub("", line).strip())
    return paragraphs, cells


if __name__ == "__main__":
    for name in sys.argv[1:]:
        found = voice_of(Path(name).read_text(encoding="utf-8"))
        counts = f"{found.words_per_sentence:5.1f} {found.semicolons:6.1%} {found.you:5.1f} {found.long_lines:4d}"
        print(f"{counts}  {name}")
