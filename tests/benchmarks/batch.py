"""A batch against the bare session: images a second of all processors, in one run.

    python tests/benchmarks/batch.py --package PACKAGE --images FOLDER [--repeat 4] [--json]

Bare: a process for each processor, each of which runs the graph with one thread on a tensor that is there already. The
batch reads, decodes, blurs faces, resizes, asks the model, and writes Parquet. It is measured from its first part to
its last, so that neither has to start. The aim is 0.9 of the bare session without the blur, which is a network itself.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from handful_core.batch.job import run_batch
from handful_core.batch.processes import Processes
from handful_core.batch.storage import Storage
from handful_core.batch.worker import BatchOptions, Done, Part, Worker
from handful_core.package import open_package
from handful_core.runtime.cpus import available_cpus, processor_name
from handful_core.runtime.onnx import OrtGraph

_SECONDS, _PART = 8.0, 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--repeat", type=int, default=4, help="so many copies of the images")
    parser.add_argument("--json", action="store_true")
    words = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="handful-benchmark-") as name:
        images = _copies(words.images, Path(name) / "images", words.repeat)
        rates = {"bare": _bare(words.package)}
        for faces in ("off", "centerface"):
            rates[f"batch, faces {faces}"] = _batch(
                words.package, images, Path(name) / faces, BatchOptions(faces=faces)
            )
        rates["bare again"] = _bare(words.package)
    bare = (rates["bare"] + rates["bare again"]) / 2
    ratios = {name: rate / bare for name, rate in rates.items() if name.startswith("batch")}
    result = {"processor": processor_name(), "processes": available_cpus(), "images_a_second": rates, "ratios": ratios}
    print(json.dumps(result, indent=2))


def _copies(source: Path, target: Path, count: int) -> Path:
    for number in range(count):
        shutil.copytree(source, target / str(number))
    return target


class _Timed:
    """Processes, and how fast they were once each had begun."""

    rate = 0.0

    def __call__(self, worker: Worker, parts: Sequence[Part]) -> Iterator[Done]:
        moments: list[float] = []
        images: list[int] = []
        for done in Processes()(worker, parts):
            moments.append(time.perf_counter())
            images.append(done.images)
            yield done
        first = available_cpus()  # So many parts had to wait for their process.
        self.rate = sum(images[first:]) / (moments[-1] - moments[first - 1])


def _batch(package: Path, images: Path, output: Path, options: BatchOptions) -> float:
    engine = _Timed()
    with open_package(package) as opened:
        run_batch(opened, Storage(str(images)), Storage(str(output)), options, engine, _PART)
    return engine.rate


def _bare(package: Path) -> float:
    context = multiprocessing.get_context("spawn")
    with context.Pool(available_cpus()) as pool:
        return sum(pool.map(_session, [package] * available_cpus(), chunksize=1))


def _session(package: Path) -> float:
    with open_package(package) as opened:
        manifest = opened.manifest
        graph = OrtGraph(opened.root / manifest.model, 1)
    spec = manifest.input
    tensor = np.random.default_rng(os.getpid()).random((1, 3, spec.height, spec.width), np.float32)
    graph.run([manifest.output.name], {spec.name: tensor})
    until, began, count = time.perf_counter() + _SECONDS, time.perf_counter(), 0
    while time.perf_counter() < until:
        graph.run([manifest.output.name], {spec.name: tensor})
        count += 1
    return count / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
