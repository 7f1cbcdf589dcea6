"""How much memory a training uses, and how much there is."""

from __future__ import annotations

import contextlib
from typing import Any

import psutil


def memory(device: Any) -> tuple[int, int]:
    """Bytes in use and bytes there are, of the GPU or of the machine.

    Args:
        device: torch's, that the training runs on.
    """
    import torch

    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device), torch.cuda.get_device_properties(device).total_memory
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    return sum(_resident(process) for process in processes), psutil.virtual_memory().total


def _resident(process: psutil.Process) -> int:
    with contextlib.suppress(psutil.NoSuchProcess):
        return int(process.memory_info().rss)
    return 0
