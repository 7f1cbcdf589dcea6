"""What torch raises in the middle of a training, as lines that say what to do."""

from __future__ import annotations

import contextlib
import errno
import re
from collections.abc import Iterator

from handful_core.errors import DataError, HandfulError, ResourceError

_FULL_DISK = ("file write failed", "pytorchstreamwriter", "inline_container")
"""What torch's writer says of a full disk, in lower case."""


@contextlib.contextmanager
def translated_errors(if_no_number: str) -> Iterator[None]:
    """What a training library and torch raise, as lines that say what to do.

    Args:
        if_no_number: what to do where the loss is NaN or infinite.
    """
    try:
        yield
    except HandfulError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"the dataset cannot be read ({str(error).splitlines()[0]})", "prepare it again") from error
    except (MemoryError, RuntimeError, OSError) as error:
        raise _translated(error, if_no_number) from error


def _translated(error: MemoryError | RuntimeError | OSError, if_no_number: str) -> HandfulError:
    text = str(error)
    words = text.lower()
    if isinstance(error, MemoryError) or "out of memory" in words or "can't allocate memory" in words:
        return ResourceError("there is not enough memory for this training", "lower training.batch or training.imgsz")
    if getattr(error, "errno", None) == errno.ENOSPC or any(sign in words for sign in _FULL_DISK):
        return ResourceError("the disk is full", "make room, then go on with handful train --resume")
    if "nan" in re.findall("[a-z]+", words):
        return DataError("the loss is NaN or infinite", if_no_number)
    return HandfulError(f"the training failed ({text.splitlines()[0] if text else type(error).__name__})")
