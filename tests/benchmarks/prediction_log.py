"""What the prediction log costs a request: docs/monitoring.md has the figures.

    python tests/benchmarks/prediction_log.py           # about three minutes
    python tests/benchmarks/prediction_log.py --quick   # does it work?
    python tests/benchmarks/prediction_log.py --json

One process holds two servers that differ in the log alone. They answer in turns, so that other work slows
both alike. Aim: the log costs at most 3 % of a request's time, and of the throughput.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np

sys.path[:0] = [str(Path(__file__).parents[1])]

from benchmarks.material import make, photograph  # noqa: E402
from fakes.registry import FakeMlflow  # noqa: E402
from handful_core.package import Package, ProfileSpec, write_package  # noqa: E402
from handful_core.package.archive import describe_files  # noqa: E402
from handful_core.profile.appearance import appearance  # noqa: E402
from handful_core.profile.projection import fit_projection  # noqa: E402
from handful_core.vision.decode import decode_reduced  # noqa: E402
from support.serving_app import make_app, running  # noqa: E402

_AT_ONCE = 4
"""Clients of a throughput's round."""
_SIZES = {"480x360": (480, 360), "1920x1080": (1920, 1080), "4000x3000": (4000, 3000)}


def with_projection(package: Package) -> Package:
    """The package with a projection of its embedding, where its graph has one."""
    embedding = package.manifest.output.embedding
    if embedding is None:
        return package
    rows = fit_projection(np.random.default_rng(0).normal(size=(64, embedding.shape[-1])).astype(np.float32))
    np.save(package.root / "projection.npy", rows.astype(np.float16))
    (package.root / "profile.json").write_text("{}")  # Serving does not read it.
    spec = ProfileSpec(images=0, projection="projection.npy", directions=len(rows) - 1)
    update = {"profile": spec, "files": describe_files(package.root)}
    return write_package(package.root, package.manifest.model_copy(update=update))


def look(data: bytes, size: int, rounds: int) -> float:
    """Median milliseconds of a processor for the features of an image."""
    image = decode_reduced(data, enough=max(size, 320))
    taken = []
    for _ in range(rounds):
        began = time.thread_time()
        appearance(data, image)
        taken.append((time.thread_time() - began) * 1e3)
    return statistics.median(taken)


async def ask(client: httpx.AsyncClient, data: bytes) -> None:
    response = await client.post("/predict?source=camera-1", content=data, headers={"Content-Type": "image/jpeg"})
    assert response.status_code == 200, response.text


async def round_of(client: httpx.AsyncClient, data: bytes, count: int) -> float:
    """Seconds for so many answers, a few at a time."""
    began = time.perf_counter()
    for _ in range(count // _AT_ONCE):
        await asyncio.gather(*(ask(client, data) for _ in range(_AT_ONCE)))
    return time.perf_counter() - began


async def one(client: httpx.AsyncClient, data: bytes, _: int) -> float:
    began = time.perf_counter()
    await ask(client, data)
    return time.perf_counter() - began


async def ratios(folder: Path, package: Package, data: bytes, rounds: int) -> dict[str, float]:
    """Time with the log by time without it: medians of pairs that follow each other, in changing order."""
    mlflow = FakeMlflow()
    mlflow.register(package, "fingers", ["champion"])
    options: dict[str, Any] = {"face_blur": "centerface", "threads": None}
    apps = [
        make_app(folder / name, mlflow, prediction_log=on, **options) for name, on in (("off", False), ("on", True))
    ]
    found = {}
    async with running(apps[0]) as off, running(apps[1]) as on:
        measures: dict[str, Callable[..., Any]] = {"latency": one, "throughput": round_of}
        for name, measure in measures.items():
            pairs = []
            for number in range(rounds + 3):
                order = (off, on) if number % 2 else (on, off)
                times = {id(client): await measure(client, data, 4 * _AT_ONCE) for client in order}
                pairs.append((times[id(off)], times[id(on)]))
            pairs = pairs[3:]
            found[name] = statistics.median(a / b for b, a in pairs)
            found[f"{name}_ms"] = (
                statistics.median(b for b, _ in pairs) * 1e3 / (4 * _AT_ONCE if name != "latency" else 1)
            )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rounds = 5 if arguments.quick else 60
    result: dict[str, Any] = {"look_ms": {}, "ratio": {}}
    with tempfile.TemporaryDirectory() as folder:
        material = make(Path(folder))
        for label, (width, height) in _SIZES.items():
            result["look_ms"][label] = round(look(photograph(width, height), 640, 10 * rounds), 3)
        for size, package in material.packages.items():
            served = with_projection(package)
            for label in ("480x360", "1920x1080"):
                data = photograph(*_SIZES[label])
                found = asyncio.run(ratios(Path(folder) / f"home-{size}-{label}", served, data, rounds))
                result["ratio"][f"{size} px, {label}"] = {name: round(value, 4) for name, value in found.items()}
    if arguments.json:
        print(json.dumps(result))
        return
    print("milliseconds of a processor for the features of an image:", result["look_ms"])
    for label, found in result["ratio"].items():
        print(
            f"{label}: latency times {found['latency']:.3f}, time an answer under load times {found['throughput']:.3f}"
        )


if __name__ == "__main__":
    main()
