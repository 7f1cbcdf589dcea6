"""What the prediction log and capture cost a request: docs/monitoring.md and docs/howto/review.md have the figures.

    python tests/benchmarks/prediction_log.py                  # about six minutes
    python tests/benchmarks/prediction_log.py --part capture   # log or capture alone
    python tests/benchmarks/prediction_log.py --quick          # does it work?
    python tests/benchmarks/prediction_log.py --json

One process holds two servers that differ in the log, or in capture, alone. They answer in turns, so that other work
slows both alike. Aim: the log costs at most 3 % of a request's time, and of the throughput. So does CAPTURE=unsure for
pictures that it looks at and does not keep. What keeping costs is measured with a server that keeps all it can.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.material import make, photograph, starter
from fakes.registry import FakeMlflow
from handful_core.package import Package, ProfileSpec, write_package
from handful_core.package.archive import describe_files
from handful_core.profile.appearance import appearance
from handful_core.profile.projection import fit_projection
from handful_core.vision.decode import decode_reduced
from support.serving_app import make_app, running

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


async def ratios(
    folder: Path, package: Package, photos: Sequence[bytes], rounds: int, costs: dict[str, Any]
) -> dict[str, float]:
    """Time with some settings by time without them: medians of pairs that follow each other, in changing order.

    Args:
        folder: of both servers.
        package: what they serve.
        photos: asked for in turns; both servers get the same one.
        rounds: pairs.
        costs: the settings.
    """
    mlflow = FakeMlflow()
    mlflow.register(package, "fingers", ["champion"])
    options: dict[str, Any] = {"face_blur": "centerface", "threads": None}
    apps = [make_app(folder / name, mlflow, **options, **more) for name, more in (("off", {}), ("on", costs))]
    found = {}
    async with running(apps[0]) as off, running(apps[1]) as on:
        measures: dict[str, Callable[..., Any]] = {"latency": one, "throughput": round_of}
        for name, measure in measures.items():
            pairs = []
            for number in range(rounds + 3):
                order = (off, on) if number % 2 else (on, off)
                data = photos[number % len(photos)]
                times = {id(client): await measure(client, data, 4 * _AT_ONCE) for client in order}
                pairs.append((times[id(off)], times[id(on)]))
            pairs = pairs[3:]
            found[name] = statistics.median(a / b for b, a in pairs)
            found[f"{name}_ms"] = (
                statistics.median(b for b, _ in pairs) * 1e3 / (4 * _AT_ONCE if name != "latency" else 1)
            )
        found["kept"] = kept((await on.get("/metrics")).text)
    return found


def kept(metrics: str) -> float:
    """How many pictures a server kept for review."""
    lines = (line for line in metrics.splitlines() if line.startswith("handful_captured_pictures_total{"))
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def scenes(count: int) -> list[bytes]:
    """Photos of which no two are of one scene."""
    random, found = np.random.default_rng(0), []
    for _ in range(count):
        blobs = cv2.GaussianBlur(random.integers(0, 256, (360, 480, 3)).astype(np.uint8), (0, 0), 20)
        spread = cv2.normalize(blobs, np.zeros_like(blobs), 0, 255, cv2.NORM_MINMAX)
        noisy = np.clip(spread.astype(np.int16) + random.normal(0, 6, spread.shape), 0, 255).astype(np.uint8)
        found.append(bytes(cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, 90])[1]))
    return found


def log_costs(folder: Path, rounds: int) -> dict[str, Any]:
    """What the prediction log costs."""
    result: dict[str, Any] = {"look_ms": {}, "ratio": {}}
    for label, (width, height) in _SIZES.items():
        result["look_ms"][label] = round(look(photograph(width, height), 640, 10 * rounds), 3)
    for size, package in make(folder).packages.items():
        served = with_projection(package)
        for label in ("480x360", "1920x1080"):
            photos, home = [photograph(*_SIZES[label])], folder / f"home-{size}-{label}"
            found = asyncio.run(ratios(home, served, photos, rounds, {"prediction_log": True}))
            result["ratio"][f"{size} px, {label}"] = {name: round(value, 4) for name, value in found.items()}
    return result


def capture_costs(folder: Path, rounds: int) -> dict[str, Any]:
    """What capture costs: with its default settings, and where every picture is kept as long as there is room."""
    package, photos, result = starter(folder, 320), scenes(40), {}
    everything = {"capture": "unsure", "capture_share": 1, "capture_daily": 100_000}
    for name, settings in (("looked at", {"capture": "unsure"}), ("kept", everything)):
        found = asyncio.run(ratios(folder / name, package, photos, rounds, settings))
        result[name] = {key: round(value, 4) for key, value in found.items()}
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--part", choices=("log", "capture"))
    parser.add_argument("--rounds", type=int, default=0, help="pairs of requests; 60 if not given")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rounds = arguments.rounds or (5 if arguments.quick else 60)
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        if arguments.part != "capture":
            result |= log_costs(Path(folder), rounds)
        if arguments.part != "log":
            result["capture"] = capture_costs(Path(folder), rounds)
    if arguments.json:
        print(json.dumps(result))
        return
    if "look_ms" in result:
        print("milliseconds of a processor for the features of an image:", result["look_ms"])
    found = result.get("ratio", {}) | {f"capture, {name}": each for name, each in result.get("capture", {}).items()}
    for label, each in found.items():
        kept = f", {each['kept']:.0f} kept" if label.startswith("capture") else ""
        print(
            f"{label}: latency times {each['latency']:.3f}, time an answer under load times "
            f"{each['throughput']:.3f}{kept}"
        )


if __name__ == "__main__":
    main()
