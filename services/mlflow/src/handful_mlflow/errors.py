"""What the jobs say when they cannot go on."""

from __future__ import annotations


class JobError(Exception):
    """A job cannot be done; the text says in one line what is wrong and what to do."""
