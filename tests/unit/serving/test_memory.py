"""One heap for all threads of serving, where the C library is glibc."""

from __future__ import annotations

import os
import platform
import socket
import subprocess
import sys

import pytest

from handful_core import logs
from handful_core.errors import ConfigError
from handful_core.settings import CoreSettings
from handful_serving import app, cli
from handful_serving.adapters import memory
from handful_serving.settings import ServingSettings

_PROGRAM = """
import ctypes, sys, tempfile, threading
from handful_serving.adapters.memory import share_heap
if sys.argv[1] == "shared":
    share_heap()
libc = ctypes.CDLL(None)
libc.malloc.restype = libc.fopen.restype = ctypes.c_void_p
all_there = threading.Barrier(5)
def work():
    libc.malloc(10_000)
    all_there.wait()
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads:
    thread.start()
all_there.wait()
with tempfile.NamedTemporaryFile() as told:
    stream = ctypes.c_void_p(libc.fopen(told.name.encode(), b"w"))
    libc.malloc_info(0, stream)
    libc.fclose(stream)
    print(told.read().count(b"<heap nr="))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no heap for each thread")
def test_threads_share_a_heap() -> None:
    assert _heaps("as it comes") > 1
    assert _heaps("shared") == 1


def _heaps(how: str) -> int:
    """How many heaps a process has whose threads have asked for memory."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    words = [sys.executable, "-c", _PROGRAM, how]
    return int(subprocess.run(words, env=environment, capture_output=True, text=True, check=True).stdout)


def test_serving_shares_it_before_it_makes_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def made(*_: object) -> None:
        calls.append("made")
        raise ConfigError("that is enough")

    monkeypatch.setattr(logs, "configure", lambda *_, **__: None)
    monkeypatch.setattr(memory, "share_heap", lambda: calls.append("shared"))
    monkeypatch.setattr(app, "create_app", made)
    with socket.socket() as listening, pytest.raises(ConfigError):
        cli._serve(ServingSettings(), CoreSettings(), listening)
    assert calls == ["shared", "made"]
