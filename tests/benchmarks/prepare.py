"""How fast `handful data prepare` is, against two plain loops of one process over the same images.

    python tests/benchmarks/prepare.py                     20,000 images: 2 GB of disk, about 5 minutes
    python tests/benchmarks/prepare.py --images 2000       a short one

(a) Pillow's `open` and `load`, then `shutil.copy2`; (b) the same without `load`: headers only, blind to truncation.
`prepare` runs in a process of its own, twice; times are those of the call, memory is the highest sum over that process
and its children. On a busy machine only the processor's seconds mean something.
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
LIMITS = {"times_a": 5.0, "times_b": 1.0, "memory_mb": 400.0, "second_share": 0.02}

_PREPARE = """
import json, sys, time
from pathlib import Path
from handful_trainer.data import DatasetConfig, prepare
config = DatasetConfig(source="picsellia-export", path=Path(sys.argv[1]))
config = config.model_copy(update={"classes": ("0", "1", "2", "3", "4", "5")})
seconds, busy = [], []
for _ in range(2):
    began, used = time.perf_counter(), time.process_time()
    dataset = prepare(config, Path(sys.argv[2]))
    seconds.append(time.perf_counter() - began)
    busy.append(time.process_time() - used)
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


def run_prepare(export: Path, home: Path) -> tuple[dict[str, Any], float]:
    """What `prepare` says of itself, and the most memory that it took, in megabytes."""
    with subprocess.Popen([sys.executable, "-c", _PREPARE, export, home], stdout=subprocess.PIPE) as process:
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
    loops, seconds, busy, memory = [], [], [], 0.0
    for number in range(rounds):
        loops.append(
            [
                *plain_loop(source, folder / f"copy-a{number}", load=True),
                *plain_loop(source, folder / f"copy-b{number}", load=False),
            ]
        )
        found, most = run_prepare(folder / "export", folder / f"home{number}")
        seconds.append(found["seconds"])
        busy.append(found["busy"])
        memory = max(memory, most)
    a, a_busy, b, b_busy = (min(times) for times in zip(*loops, strict=True))
    first, second = (min(times) for times in zip(*seconds, strict=True))
    return {
        "images": images,
        "megabytes": round(megabytes, 1),
        "processors": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load_average": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "loop_a_seconds": round(a, 3),
        "loop_b_seconds": round(b, 3),
        "prepare_seconds": round(first, 3),
        "second_run_seconds": round(second, 4),
        "processor_seconds": {"a": round(a_busy, 3), "b": round(b_busy, 3), "prepare": round(min(busy), 3)},
        "times_a": round(a / first, 2),
        "times_b": round(b / first, 2),
        "second_share": round(second / first, 4),
        "memory_mb": round(memory, 1),
        "truncated": len(truncated),
        "truncated_found": set(found["truncated"]) == truncated,
    }


def misses(figures: dict[str, Any]) -> list[str]:
    """What is not as it should be."""
    wrong = [key for key in ("times_a", "times_b") if figures[key] < LIMITS[key]]
    wrong += [key for key in ("memory_mb", "second_share") if figures[key] > LIMITS[key]]
    return wrong + ([] if figures["truncated_found"] else ["truncated_found"])


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
        print(json.dumps({**figures, "limits": LIMITS, "missed": wrong}, indent=2))
    else:
        for name, value in figures.items():
            print(f"{name:20} {value}{'   MISSED' if name in wrong else ''}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
