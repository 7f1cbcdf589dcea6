"""ONNX Runtime alone: no HTTP, no image. `python -m benchmarks.contenders.bare MODEL THREADS` is told by stdin.

`latency N` answers with the milliseconds of N runs, `spinning N` with those of a session as ONNX Runtime makes it,
whose threads spin while they wait; else they sleep. `throughput CALLERS SECONDS` answers with runs a second.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path

import numpy as np
import onnxruntime as ort

from handful_core.runtime.onnx import open_session


def main() -> None:
    """Obey until stdin ends."""
    session = open_session(Path(sys.argv[1]), int(sys.argv[2]))
    options = ort.SessionOptions()
    options.intra_op_num_threads = int(sys.argv[2])
    spinning = ort.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
    node = session.get_inputs()[0]
    shape = [size if isinstance(size, int) else 1 for size in node.shape]
    feed = {node.name: np.random.default_rng(0).random(shape, np.float32)}
    for one in (session, spinning):
        _run(one, feed)
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        what, *numbers = line.split()
        if what in {"latency", "spinning"}:
            asked = spinning if what == "spinning" else session
            print(json.dumps([_run(asked, feed) for _ in range(int(numbers[0]))]), flush=True)
        else:
            print(json.dumps(_throughput(session, feed, int(numbers[0]), float(numbers[1]))), flush=True)


def _run(session: ort.InferenceSession, feed: dict[str, np.ndarray]) -> float:
    """Milliseconds to the graph's answer, its first output."""
    answer = session.get_outputs()[0].name
    started = time.perf_counter()
    session.run([answer], feed)
    return (time.perf_counter() - started) * 1e3


def _throughput(session: ort.InferenceSession, feed: dict[str, np.ndarray], callers: int, seconds: float) -> float:
    started = time.perf_counter()
    counts = [0] * callers

    def call(number: int) -> None:
        while time.perf_counter() - started < seconds:
            _run(session, feed)
            counts[number] += 1

    threads = [threading.Thread(target=call, args=(number,)) for number in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - started)


if __name__ == "__main__":
    main()
