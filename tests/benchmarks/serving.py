"""How fast serving is, beside ONNX Runtime alone, the usual way with Ultralytics, and LitServe.

    python tests/benchmarks/serving.py               # about fifteen minutes on two quiet processors
    python tests/benchmarks/serving.py --quick       # about three: does it work?
    python tests/benchmarks/serving.py --classifier  # a classifier at 224 pixels alone
    python tests/benchmarks/serving.py --precision   # the starter model below FP32 alone
    python tests/benchmarks/serving.py --precision --data DATASET   # as a prepared dataset proves it, INT8 too
    python tests/benchmarks/serving.py --json        # figures and ratios for a program

It starts all that it compares. Two are measured by turns, a few requests at a time, so that a machine that becomes
slower for a while changes both. Blurring is off but where it says otherwise.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import statistics
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.asking import latency, prepared, throughput
from benchmarks.material import Material, fill_cache, make, photograph, starter
from benchmarks.processes import Bare, Server, server
from handful_core.console import only_results_on_stdout
from handful_core.package import Package
from handful_core.runtime.cpus import available_cpus, instruction_sets
from handful_core.vision.decode import decode_reduced
from support.mlflow_server import free_port

_CLIENTS = 8
_AT_A_TIME = 3
"""Requests to one of two before it is the other's turn: other work on the machine then slows both alike."""
_SETTLE = 0.1
"""Seconds until threads that spin have gone to sleep, which would disturb the other."""

Measure = Callable[[], list[float]]


@dataclass
class Bench:
    """One run of the benchmark."""

    folder: Path
    material: Material
    turns: int
    times: int
    """Requests of a turn, when latency is measured."""
    seconds: float
    """Of a turn, when throughput is measured."""
    figures: dict[str, float] = field(default_factory=dict)
    served: dict[str, str] = field(default_factory=dict)
    """By size: the backend and precision that serving chose. By size and precision: whether it was allowed."""
    ratios: dict[str, float] = field(default_factory=dict)
    threads: int = field(default_factory=available_cpus)

    def serving(self, stack: ExitStack, size: int, blur: str = "off", **settings: str) -> Server:
        """`handful serve` with a package in its cache, and no MLflow."""
        home = self.folder / f"home-{size}-{blur}-{len(settings)}"
        fill_cache(home, self.material.packages[size])
        port = free_port()
        environment = {
            "HANDFUL_HOME": str(home),
            "HANDFUL_MLFLOW_URI": "http://127.0.0.1:9",
            "HANDFUL_SERVING_DEFAULT_MODEL": "bench",
            "HANDFUL_SERVING_PORT": str(port),
            "HANDFUL_SERVING_FACE_BLUR": blur,
            "HANDFUL_SERVING_INFERENCE_BACKEND": "onnxruntime",  # As installed by default.
            "HANDFUL_SERVING_LOG_LEVEL": "warning",
            **settings,
        }
        words = ["-m", "handful_core", "serve"]
        return stack.enter_context(server(words, port, self.folder / "serving.log", environment))

    def by_turns(self, name: str, ours: Measure, theirs: Measure, ratio: str, turns: int) -> None:
        """Measure two by turns, each first as often as the other; note their medians and the ratio of these."""
        own: list[float] = []
        other: list[float] = []
        for turn in range(turns):
            pair = [(own, ours), (other, theirs)]
            for samples, measure in pair if turn % 2 else reversed(pair):
                samples.extend(measure())
        self.figures[f"{name} other"] = statistics.median(other)
        self.figures[f"{name} serving"] = statistics.median(own)
        self.ratios[ratio] = statistics.median(own) / statistics.median(other)
        print(f"{ratio} {self.ratios[ratio]:.3f}", file=sys.stderr, flush=True)

    def p50(self, name: str, ours: Server, theirs: Server | Bare, request: bytes, ratio: str) -> None:
        """Compare latencies, a few requests at a time."""

        def asking(one: Server | Bare) -> Measure:
            if isinstance(one, Bare):
                return lambda: one.latency(_AT_A_TIME)
            return lambda: latency(one.port, request, _AT_A_TIME)

        self.by_turns(f"p50 ms {name}", asking(ours), asking(theirs), ratio, self.turns * self.times // _AT_A_TIME)

    def rate(self, name: str, ours: Server, theirs: Server | Bare, request: bytes, ratio: str) -> None:
        """Compare throughputs."""

        def asking(one: Server | Bare) -> Measure:
            if isinstance(one, Bare):
                return lambda: [one.throughput(self.threads, self.seconds)]
            return lambda: [throughput(one.port, request, _CLIENTS, self.seconds)]

        self.by_turns(f"/s {name}", asking(ours), asking(theirs), ratio, self.turns)


def against_bare(bench: Bench, size: int, request: bytes) -> None:
    """HTTP, decoding and all else, beside the session alone: its threads sleep while they wait, or spin."""
    with ExitStack() as stack:
        own = bench.serving(stack, size)
        bare = Bare(bench.material.packages[size].model_path, bench.threads)
        stack.callback(bare.close)
        latency(own.port, request, 5)
        bench.p50(f"{size} bare", own, bare, request, f"p50_{size}_over_bare")
        bench.rate(f"{size} bare", own, bare, request, f"throughput_{size}_over_bare")

        def spinning() -> list[float]:
            samples = bare.spinning(_AT_A_TIME)
            time.sleep(_SETTLE)
            return samples

        turns = bench.turns * bench.times // _AT_A_TIME // 2
        ours = partial(latency, own.port, request, _AT_A_TIME)
        bench.by_turns(f"p50 ms {size} spinning", ours, spinning, f"p50_{size}_over_spinning", turns)


def below_fp32(bench: Bench, size: int, request: bytes, data: Path | None, tolerance: float) -> None:
    """The starter model, in whatever serving chooses of FP32 and below, beside FP32 in ONNX Runtime alone."""
    package = starter(bench.folder, size)
    bench.material.packages[size] = proved_on(bench, package, data, tolerance) if data else package
    with ExitStack() as stack:
        own = bench.serving(stack, size, HANDFUL_SERVING_INFERENCE_BACKEND="auto", HANDFUL_SERVING_PROBE_SECONDS="300")
        bare = Bare(package.model_path, bench.threads)
        stack.callback(bare.close)
        latency(own.port, request, 5)
        bench.served[str(size)] = _served(own.port)
        print(f"{size} px is served by {bench.served[str(size)]}", file=sys.stderr, flush=True)
        bench.p50(f"{size} below fp32", own, bare, request, f"p50_{size}_below_fp32_over_bare")
        bench.rate(f"{size} below fp32", own, bare, request, f"throughput_{size}_below_fp32_over_bare")
        bench.figures[f"MB {size} below fp32"] = own.rss


def _served(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/models") as answer:
        version = json.load(answer)["models"][0]["versions"][0]
    return f"{version['backend']} {version['precision']}"


def proved_on(bench: Bench, package: Package, data: Path, tolerance: float) -> Package:
    """The package, which allows what a prepared dataset's test images prove; its training images calibrate INT8."""
    from handful_trainer.dataset.prepared import PreparedDataset
    from handful_trainer.packaging.precision import allow, try_precisions, wanted

    dataset, size = PreparedDataset.open(data), package.manifest.input.width
    folder, precisions = bench.folder / f"trial-{size}", wanted("auto")
    with only_results_on_stdout():  # NNCF draws its bars there, and stdout is for the result.
        copy, trials = try_precisions(package, dataset, folder, precisions, images=300, tolerance=tolerance)
    for trial in trials:
        low, high = trial.interval
        found = {"points lost": 100 * trial.loss, "least": 100 * low, "most": 100 * high, "speed-up": trial.speed_up}
        bench.figures |= {f"{size} {trial.name} {what}": value for what, value in found.items()}
        bench.served[f"{size} {trial.name}"] = f"{trial.outcome}, {trial.images} test images"
        print(f"{size} px {trial.name}: {trial.outcome}: {trial.reason}", file=sys.stderr, flush=True)
    return allow(copy, dataset, [trial for trial in trials if trial.outcome == "allowed"])


def against_usual(bench: Bench, request: bytes) -> None:
    """Ultralytics in FastAPI, at 320 pixels."""
    with ExitStack() as stack:
        own = bench.serving(stack, 320)
        port = free_port()
        words = ["-m", "benchmarks.contenders.usual", str(port), str(bench.material.weights), "320"]
        usual = stack.enter_context(server(words, port, bench.folder / "usual.log"))
        for one in (own, usual):
            latency(one.port, request, 10)
        bench.rate("320 usual", own, usual, request, "throughput_over_ultralytics")
        bench.figures["MB usual other"], bench.figures["MB usual serving"] = usual.rss, own.rss
        bench.ratios["memory_over_ultralytics"] = own.rss / usual.rss


def against_litserve(bench: Bench, size: int, request: bytes, name: str = "") -> None:
    """LitServe around the same session."""
    with ExitStack() as stack:
        own = bench.serving(stack, size)
        port = free_port()
        package = bench.material.packages[size].root
        words = ["-m", "benchmarks.contenders.lit", str(port), str(package), str(bench.threads)]
        lit = stack.enter_context(server(words, port, bench.folder / "lit.log"))
        for one in (own, lit):
            latency(one.port, request, 10)
        bench.p50(f"{size} lit", own, lit, request, f"p50_{name}over_litserve")
        bench.rate(f"{size} lit", own, lit, request, f"throughput_{name}over_litserve")


def blurring(bench: Bench, request: bytes) -> None:
    """What looking for faces costs, at 640 pixels; memory and start with all of it."""
    with ExitStack() as stack:
        plain, blurred = bench.serving(stack, 640), bench.serving(stack, 640, "centerface")
        for one in (plain, blurred):
            latency(one.port, request, 5)
        bench.p50("640 blur", blurred, plain, request, "p50_blur_over_plain")
        bench.figures["MB with blur"] = blurred.rss
        bench.figures["seconds to ready"] = blurred.start_seconds


def large_photograph(bench: Bench) -> None:
    """Twelve megapixels: decoded small, or whole, as `return_image` wants it, less what drawing takes."""
    photo = photograph(4000, 3000)

    def decoding(enough: int | None) -> Measure:
        def measure() -> list[float]:
            started = time.perf_counter()
            decode_reduced(photo, enough=enough)
            return [(time.perf_counter() - started) * 1e3]

        return measure

    times = bench.turns * bench.times // 4
    bench.by_turns("ms 12 MP decode", decoding(640), decoding(None), "photo_12mp_over_full_decode", times)


def classifier(bench: Bench, request: bytes) -> None:
    """EfficientNet-Lite0 at 224 pixels: the answer says what the model does not know, too."""
    against_bare(bench, 224, request)
    against_litserve(bench, 224, request, "224_")


def detectors(bench: Bench, request: bytes) -> None:
    """YOLO11n."""
    against_bare(bench, 640, request)
    against_bare(bench, 320, request)
    against_usual(bench, request)
    against_litserve(bench, 320, request)
    blurring(bench, request)
    large_photograph(bench)


def main() -> None:
    """Measure, and tell."""
    parser = argparse.ArgumentParser(description="How fast serving is.")
    parser.add_argument("--quick", action="store_true", help="few requests: does it work?")
    parser.add_argument("--classifier", action="store_true", help="a classifier at 224 pixels alone")
    parser.add_argument("--precision", action="store_true", help="the starter model below FP32 alone")
    parser.add_argument(
        "--data", type=Path, help="a prepared dataset, whose test images say what a lower precision loses"
    )
    parser.add_argument("--tolerance", type=float, default=0.5, help="with --data: points that may be lost")
    parser.add_argument("--json", action="store_true", help="figures and ratios as one JSON object")
    chosen = parser.parse_args()
    if not chosen.precision and importlib.util.find_spec("litserve") is None:
        parser.error("LitServe is not installed, which serving is compared with: pip install litserve")
    os.environ |= {"OMP_WAIT_POLICY": "passive", "YOLO_VERBOSE": "false", "YOLO_OFFLINE": "true"}
    with tempfile.TemporaryDirectory(prefix="handful-bench-") as name:
        folder = Path(name)
        material = Material(folder, {}) if chosen.precision else make(folder)
        bench = Bench(folder, material, *((2, 12, 2.0) if chosen.quick else (6, 60, 8.0)))
        small = prepared(photograph(640, 480))
        if not chosen.precision:
            classifier(bench, small)
            if not chosen.classifier:
                detectors(bench, small)
        if not chosen.classifier:
            for size in (320, 640):
                below_fp32(bench, size, small, chosen.data, chosen.tolerance / 100)
    if chosen.json:
        result = {"processor": _processor(), "instructions": instruction_sets(), "served": bench.served}
        print(json.dumps(result | {"figures": bench.figures, "ratios": bench.ratios}, indent=2))
    else:
        _table(bench)


_WANTED = {
    "p50_224_over_bare": "wanted <= 1.25",
    "throughput_224_over_litserve": "wanted >= 1.5",
    "p50_640_over_bare": "wanted <= 1.12",
    "p50_320_over_bare": "wanted <= 1.25",
    "throughput_640_over_bare": "wanted >= 0.90",
    "throughput_320_over_bare": "wanted >= 0.85",
    "throughput_over_ultralytics": "wanted >= 1.5",
    "memory_over_ultralytics": "wanted <= 0.30",
    "throughput_over_litserve": "wanted >= 1.1",
    "p50_over_litserve": "wanted <= 0.95",
    "p50_blur_over_plain": "wanted <= 1.5",
    "p50_320_below_fp32_over_bare": "wanted <= 0.65 with BF16 or VNNI",
    "p50_640_below_fp32_over_bare": "wanted <= 0.65 with BF16 or VNNI",
    "throughput_320_below_fp32_over_bare": "wanted >= 1.4 with BF16 or VNNI",
    "throughput_640_below_fp32_over_bare": "wanted >= 1.4 with BF16 or VNNI",
    "photo_12mp_over_full_decode": "wanted <= 0.6",
}


def _table(bench: Bench) -> None:
    print(f"{_processor()} ({instruction_sets()}), {bench.threads} used\n")
    for size, how in bench.served.items():
        print(f"{size} px: {how}")
    for name, value in bench.figures.items():
        print(f"{name:<32}{value:>10.2f}")
    print()
    for name, value in bench.ratios.items():
        print(f"{name:<32}{value:>10.3f}   {_WANTED.get(name, '')}")


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return f"{line.partition(':')[2].strip()}, {os.cpu_count()} processors"
    return platform.processor()


if __name__ == "__main__":
    main()
