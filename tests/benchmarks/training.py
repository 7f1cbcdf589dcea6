"""What our logging costs: the same training by plain Ultralytics and by `handful train`, in turns, in one run.

    python tests/benchmarks/training.py [--epochs 3] [--rounds 3] [--json]

Both get the same images, arguments, seed, threads and memory layout (which `handful train` sets, and which makes a
training faster: without it plain Ultralytics would look slower than it is). Measured are whole epochs, from the first
batch to the end of the validation and the checkpoint, but the first of each training, so neither imports nor exports
count. MLflow runs beside both, as in the quickstart. `ratios.logging_over_plain` is the median of our epochs over that
of the plain ones, by the clock; `logging_over_plain_cpu` by the processor time of the training's own process, which
another program disturbs less, but in which all that happens every ten seconds counts for more the longer an epoch is
held up: on a machine that is busy neither is worth much. The aim is below 1.03.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

_TESTS = Path(__file__).parents[1]
sys.path.insert(0, str(_TESTS))


from support.mlflow_server import MlflowServer  # noqa: E402

_IMGSZ, _BATCH = 160, 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    words = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="handful-benchmark-") as name:
        result = compare(Path(name), words.epochs, words.rounds)
    if words.json:
        print(json.dumps(result, indent=2))
        return
    for way, name in (("plain", "plain Ultralytics"), ("logging", "handful train")):
        seconds, cpu = result[f"{way}_seconds"], result[f"{way}_cpu_seconds"]
        print(f"{name:18}  {seconds:.2f} s an epoch (median of {result['epochs']}), {cpu:.2f} s of processors")
    ratios = result["ratios"]
    print(
        f"logging over plain  {ratios['logging_over_plain']:.3f}, by processors {ratios['logging_over_plain_cpu']:.3f}"
    )


def compare(folder: Path, epochs: int, rounds: int) -> dict[str, Any]:
    """Median seconds of an epoch both ways."""
    server = MlflowServer(folder / "mlflow").start()
    environment = os.environ | {"HANDFUL_HOME": str(folder / "home"), "HANDFUL_MLFLOW_URI": server.uri}
    times: dict[str, list[list[float]]] = {"plain": [], "logging": []}
    try:
        for turn in range(rounds):
            # Who comes first alternates: a machine warms up, or slows down.
            for way in ("plain", "logging") if turn % 2 else ("logging", "plain"):
                times[way] += _epochs(way, epochs, folder, environment)
    finally:
        server.stop()
    wall, cpu = ({way: statistics.median(one[which] for one in times[way]) for way in times} for which in (0, 1))
    return {
        "epochs": len(times["plain"]),
        "plain_seconds": wall["plain"],
        "logging_seconds": wall["logging"],
        "plain_cpu_seconds": cpu["plain"],
        "logging_cpu_seconds": cpu["logging"],
        "ratios": {
            "logging_over_plain": wall["logging"] / wall["plain"],
            "logging_over_plain_cpu": cpu["logging"] / cpu["plain"],
        },
    }


def _epochs(way: str, epochs: int, folder: Path, environment: dict[str, str]) -> list[list[float]]:
    """Seconds, and seconds of processors, of each epoch but the first, which warms up, and the last, which closes."""
    command = [sys.executable, __file__, "--as", way, str(epochs + 2), str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"the training ({way}) failed:\n{done.stderr}")
    seconds: list[list[float]] = json.loads(done.stdout.splitlines()[-1])
    return seconds[1:-1]


def _train(way: str, epochs: int, folder: Path) -> None:
    """In a process of its own: prints what each epoch took."""
    from handful_core.settings import CoreSettings, load
    from handful_trainer.dataset.preparation.prepare import prepare
    from handful_trainer.tasks.detection.settings import DetectionConfig
    from handful_trainer.tasks.detection.ultralytics import configure_ultralytics

    config = DetectionConfig.model_validate(
        {
            "dataset": {"source": "sample", "name": "drawn", "sample": {"images": 120}},
            "training": {"epochs": epochs, "imgsz": _IMGSZ, "batch": _BATCH, "workers": 2},
            "mlflow": {"experiment": "benchmark"},
        }
    )
    core = load(CoreSettings)
    dataset = prepare(config.dataset, core.home)
    configure_ultralytics(core.home)
    ends: list[tuple[float, float]] = []
    _plain(config, dataset.description, folder, ends) if way == "plain" else _logged(config, dataset, core, ends)
    ends.append(_now())
    print(json.dumps([(b[0] - a[0], b[1] - a[1]) for a, b in itertools.pairwise(ends)][:epochs]))


def _plain(config: Any, data_yaml: Path, folder: Path, ends: list[tuple[float, float]]) -> None:
    from handful_trainer.tasks.detection.train import use_channels_last
    from handful_trainer.tasks.detection.ultralytics import new_model, training_arguments

    model = new_model(config)
    _time(model, ends)
    model.add_callback("on_train_start", use_channels_last)
    model.train(**training_arguments(config, data_yaml, folder / "plain"), pretrained=False)


def _logged(config: Any, dataset: Any, core: Any, ends: list[tuple[float, float]]) -> None:
    from handful_trainer.pipeline import stages as pipeline
    from handful_trainer.tasks.detection import train
    from handful_trainer.tasks.detection.ultralytics import new_model

    def timed(settings: Any) -> Any:
        model = new_model(settings)
        _time(model, ends)
        return model

    train.new_model = timed  # type: ignore[assignment,attr-defined]
    pipeline._package = lambda *_: None  # type: ignore[assignment]
    pipeline.start(config, core.home, core.mlflow_uri, register=False)


def _time(model: Any, ends: list[tuple[float, float]]) -> None:
    """Note when each epoch begins."""
    model.add_callback("on_train_epoch_start", lambda _: ends.append(_now()))


def _now() -> tuple[float, float]:
    """By the clock, and what the threads of this process have worked."""
    return time.perf_counter(), time.process_time()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--as"]:
        _train(sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
    else:
        main()
