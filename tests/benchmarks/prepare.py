"""How fast `handful data prepare` is, in both ways to check images, against two plain loops over the same images.

    python tests/benchmarks/prepare.py                     20,000 images: 2 GB of disk, about 5 minutes
    python tests/benchmarks/prepare.py --images 2000       a short one

(a) Pillow's `open` and `load`, then `shutil.copy2`; (b) the same without `load`: headers only, blind to truncation.
Each loop is one process. `prepare` runs in a process of its own, twice, once with `check: decode` (the default) and
once with `check: structure`; times are those of the call, memory is the highest sum over that process and its children.
Both have to find every truncated file. On a busy machine only the processor's seconds mean something.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image, ImageDraw

WIDTH, HEIGHT = 640, 480
LABELS = ("0", "1", "2", "3", "4", "5")
TRUNCATED = 97
"""Every so-manieth image is cut."""
AT_LEAST = {"over_load": 5.0, "structure_over_headers": 1.0}
"""How many times as fast as loop (a) each image is decoded, and as loop (b) where JPEGs are not: see ADR 10."""
AT_MOST = {"memory_mb": 400.0, "second_share": 0.02, "structure_memory_mb": 400.0}
"""Of `structure` the second run is as short as of `decode`: it is the first that is shorter."""

CHECKS: dict[str, dict[str, Any]] = {
    "": {},
    "structure_": {"check": "structure", "keep_together": {"near_duplicates": -1}},
}
"""What the figures of a way to check begin with → its settings."""

_PREPARE = """
import json, os, sys, time
from pathlib import Path
from handful_trainer.dataset.settings import DatasetConfig
from handful_trainer.dataset.preparation.prepare import prepare
labels = ["0", "1", "2", "3", "4", "5"]
config = {"source": "picsellia-export", "path": sys.argv[1], "classes": labels, **json.loads(sys.argv[3])}
config, seconds, busy = DatasetConfig.model_validate(config), [], []
for _ in range(2):
    began, used = time.perf_counter(), sum(os.times()[:4])
    dataset = prepare(config, Path(sys.argv[2]))
    seconds.append(time.perf_counter() - began)
    busy.append(sum(os.times()[:4]) - used)
truncated = [entry["asset"] for entry in dataset.report["defects"] if entry["problem"] == "truncated"]
print(json.dumps({"seconds": seconds, "busy": busy[0], "truncated": truncated}))
"""


def picture(seed: int) -> bytes:
    """A scene with soft light, things with edges, and a sensor's noise, as a JPEG of Pillow's own quality."""
    chance = np.random.default_rng(seed)
    light = Image.fromarray(chance.integers(30, 226, (5, 6, 3), np.uint8)).resize(
        (WIDTH, HEIGHT), Image.Resampling.BICUBIC
    )
    draw = ImageDraw.Draw(light)
    for _ in range(12):
        x, y, w, h = (int(v) for v in chance.integers((0, 0, 20, 20), (WIDTH, HEIGHT, 260, 220)))
        shape = draw.ellipse if chance.random() < 0.6 else draw.rectangle
        shape((x - w // 2, y - h // 2, x + w // 2, y + h // 2), fill=tuple(int(v) for v in chance.integers(0, 256, 3)))
    noise = chance.normal(0, 3, (HEIGHT, WIDTH, 1))
    pixels = np.clip(np.asarray(light) + noise, 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG")
    return file.getvalue()


def write_some(folder: Path, numbers: range) -> int:
    """Write some of the images; their bytes."""
    size = 0
    for number in numbers:
        data = picture(number)
        if number % TRUNCATED == 0:
            data = data[: len(data) * (number % 80 + 10) // 100]
        size += (folder / f"{number:06d}.jpg").write_bytes(data)
    return size


def make(folder: Path, images: int) -> tuple[float, set[str]]:
    """Write an export; megabytes, and the ids of truncated images."""
    (folder / "assets").mkdir(parents=True)
    ranges = [range(start, min(start + 100, images)) for start in range(0, images, 100)]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        size = sum(pool.map(write_some, [folder / "assets"] * len(ranges), ranges))
    ids = [f"{number:06d}" for number in range(images)]
    assets = [{"id": i, "data": {"filename": f"IMG_{i}.jpg", "meta": {"width": WIDTH, "height": HEIGHT}}} for i in ids]
    boxes = [
        [
            {"x": 10 + n % 300, "y": 20, "w": 90, "h": 120, "label": LABELS[n % 6]},
            {"x": 330, "y": 200 + n % 100, "w": 140, "h": 150, "label": LABELS[n % 5]},
        ]
        for n in range(images)
    ]
    annotations = {i: [{"status": "ACCEPTED", "rectangles": found}] for i, found in zip(ids, boxes, strict=True)}
    (folder / "assets.json").write_text(json.dumps(assets))
    (folder / "annotations.json").write_text(json.dumps(annotations))
    return size / 1e6, {i for n, i in enumerate(ids) if n % TRUNCATED == 0}


def plain_loop(source: Path, target: Path, *, load: bool) -> tuple[float, float]:
    """Seconds of a loop over all images, and how many of them a processor was busy with it."""
    target.mkdir()
    began, used = time.perf_counter(), time.process_time()
    for path in sorted(source.iterdir()):
        try:
            with Image.open(path) as image:
                if load:
                    image.load()
        except OSError:
            continue
        shutil.copy2(path, target / path.name)
    return time.perf_counter() - began, time.process_time() - used


def run_prepare(export: Path, home: Path, settings: dict[str, Any]) -> tuple[dict[str, Any], float]:
    """What `prepare` says of itself, and the most memory that it took, in megabytes."""
    command = [sys.executable, "-c", _PREPARE, str(export), str(home), json.dumps(settings)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        most, ended = [0], threading.Event()
        watch = threading.Thread(target=watch_memory, args=(psutil.Process(process.pid), most, ended))
        watch.start()
        answer = process.stdout.read() if process.stdout else b""
        ended.set()
        watch.join()
    return json.loads(answer), most[0] / 1e6


def watch_memory(process: psutil.Process, most: list[int], ended: threading.Event) -> None:
    """Look at a process and its children twenty times a second. Memory that several share counts for each of them."""
    while not ended.wait(0.05):
        total = 0
        try:
            for member in (process, *process.children(recursive=True)):
                total += member.memory_info().rss
        except psutil.NoSuchProcess:
            continue
        most[0] = max(most[0], total)


def measure(folder: Path, images: int, rounds: int) -> dict[str, Any]:
    """The figures: the best of some rounds of each, taken by turns.

    Nothing is removed in between: for a minute after many files were, ext4 takes ten times as long to make a new one.
    """
    megabytes, truncated = make(folder / "export", images)
    source = folder / "export" / "assets"
    loops: dict[str, list[tuple[float, float]]] = {"load": [], "headers": []}
    runs: dict[str, list[tuple[dict[str, Any], float]]] = {check: [] for check in CHECKS}
    for number in range(rounds):
        for loop, times in loops.items():
            times.append(plain_loop(source, folder / f"copy-{loop}{number}", load=loop == "load"))
        for check, settings in CHECKS.items():
            runs[check].append(run_prepare(folder / "export", folder / f"home-{check}{number}", settings))
    load, headers = (min(seconds for seconds, _ in times) for times in loops.values())
    figures: dict[str, Any] = {
        "images": images,
        "megabytes": round(megabytes, 1),
        "truncated": len(truncated),
        "processors": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load_average": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "load_seconds": round(load, 3),
        "headers_seconds": round(headers, 3),
        "load_processor_seconds": round(min(busy for _, busy in loops["load"]), 3),
        "headers_processor_seconds": round(min(busy for _, busy in loops["headers"]), 3),
    }
    for check, found in runs.items():
        figures |= {f"{check}{key}": value for key, value in of_runs(found, load, headers, truncated).items()}
    return figures


def of_runs(
    runs: list[tuple[dict[str, Any], float]], load: float, headers: float, truncated: set[str]
) -> dict[str, Any]:
    """The figures of one way to check.

    Args:
        runs: what `prepare` said of itself, and its memory in megabytes.
        load: seconds of loop (a).
        headers: seconds of loop (b).
        truncated: what it had to find.
    """
    first, second = (min(said["seconds"][number] for said, _ in runs) for number in range(2))
    return {
        "seconds": round(first, 3),
        "second_run_seconds": round(second, 4),
        "processor_seconds": round(min(said["busy"] for said, _ in runs), 3),
        "over_load": round(load / first, 2),
        "over_headers": round(headers / first, 2),
        "second_share": round(second / first, 4),
        "memory_mb": round(max(memory for _, memory in runs), 1),
        "truncated_found": all(set(said["truncated"]) == truncated for said, _ in runs),
    }


def misses(figures: dict[str, Any]) -> list[str]:
    """What is not as it should be."""
    wrong = [key for key, least in AT_LEAST.items() if figures[key] < least]
    wrong += [key for key, most in AT_MOST.items() if figures[key] > most]
    return wrong + [f"{check}truncated_found" for check in CHECKS if not figures[f"{check}truncated_found"]]


def main() -> None:
    """Measure, print, and end with status 1 if a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where to work; a temporary folder if not given")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="prepare-benchmark-") as folder:
        figures = measure(Path(folder), options.images, options.rounds)
    wrong = misses(figures)
    if options.json:
        print(json.dumps({**figures, "limits": AT_LEAST | AT_MOST, "missed": wrong}, indent=2))
    else:
        for name, value in figures.items():
            print(f"{name:26} {value}{'   MISSED' if name in wrong else ''}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
