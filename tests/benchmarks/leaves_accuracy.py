"""How well a classifier becomes for the same processor time: `handful train`, timm's own loop, and Ultralytics.

    python tests/benchmarks/leaves_accuracy.py --config configs/leaves.yaml [--epochs 4] [--seeds 3] [--json]

All train on the dataset of the configuration, in the same splits, and are judged on its test images, as their users
would: `handful` by its package in ONNX Runtime, `timm` by its average of the weights under timm's evaluation
transform, `yolo11n-cls` by Ultralytics' own predict. `timm` begins with the same weights, has the same size, batches,
learning rate and epochs, and the augmentation and the loss of timm's train.py. `yolo11n-cls` begins from scratch, and
gets as many epochs as fit into the processor time that `handful` took to train. Packaging is not counted.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

_TESTS = Path(__file__).parents[1]
sys.path.insert(0, str(_TESTS))

from support.mlflow_server import MlflowServer  # noqa: E402

_WAYS = ("handful", "timm", "yolo11n-cls")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--epochs", type=int, help="the configuration's if not given")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    words = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="handful-benchmark-") as name:
        result = compare(Path(name), words.config.absolute(), words.epochs, words.seeds)
    if words.json:
        print(json.dumps(result, indent=2))
        return
    print(f"{'':12}  {'accuracy':>20}  {'macro F1':>20}  processor seconds")
    for way in _WAYS:
        print(f"{way:12}  {_spread(result[way], 'accuracy'):>20}  {_spread(result[way], 'macro_f1'):>20}  "
              f"{statistics.mean(one['cpu_seconds'] for one in result[way]):.0f}")  # fmt: skip


def compare(folder: Path, config: Path, epochs: int | None, seeds: int) -> dict[str, list[dict[str, float]]]:
    """What each way reached, seed by seed."""
    server = MlflowServer(folder / "mlflow").start()
    environment = os.environ | {"HANDFUL_HOME": str(folder / "home"), "HANDFUL_MLFLOW_URI": server.uri}
    result: dict[str, list[dict[str, float]]] = {way: [] for way in _WAYS}
    try:
        for seed in range(seeds):
            for way in _WAYS:
                budget = result["handful"][seed]["cpu_seconds"] if way != "handful" else 0.0
                words = [way, str(config), str(epochs or 0), str(seed), str(budget), str(folder)]
                result[way].append(_apart(words, environment))
                print(f"seed {seed}, {way}: {result[way][-1]}", file=sys.stderr, flush=True)
    finally:
        server.stop()
    return result


def _spread(results: Sequence[dict[str, float]], name: str) -> str:
    values = [one[name] for one in results]
    return f"{statistics.mean(values):.3f} ({min(values):.3f}-{max(values):.3f})"


def _apart(words: list[str], environment: dict[str, str]) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, str(Path(__file__).resolve()), "--as", *words],
        env=environment,
        cwd=words[-1],  # Ultralytics writes mlflow.db and mlruns to where it is.
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"the training ({words[0]}) failed: see above")
    answer: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return answer


def _train(way: str, config_file: str, epochs: str, seed: str, budget: str, folder: str) -> None:
    """In a process of its own: prints accuracy, macro F1 and processor seconds."""
    from handful_core.settings import CoreSettings, load
    from handful_trainer.config.loading import load_config
    from handful_trainer.dataset.preparation.prepare import prepare

    config, core = load_config(Path(config_file)), load(CoreSettings)
    changes = {"seed": int(seed), "patience": 0} | ({"epochs": int(epochs)} if int(epochs) else {})
    config = config.model_copy(update={"training": config.training.model_copy(update=changes)})
    dataset = prepare(config.dataset, core.home, task="classify")
    with contextlib.redirect_stdout(sys.stderr):
        if way == "handful":
            predict, seconds = _handful(config, core)
        elif way == "timm":
            predict, seconds = _timm(config, dataset)
        else:
            predict, seconds = _ultralytics(config, dataset, float(budget), Path(folder))
        # Prepared folders are split/class/image.
        judged = [(path.parent.name, predict(path)) for path in dataset.images("test")]
    truth, answers = zip(*judged, strict=True)
    print(json.dumps(_judged(truth, answers) | {"cpu_seconds": round(seconds, 1), "images": len(judged)}))


def _judged(truth: Sequence[str], answers: Sequence[str]) -> dict[str, float]:
    from sklearn.metrics import accuracy_score, f1_score

    return {
        "accuracy": round(float(accuracy_score(truth, answers)), 4),
        "macro_f1": round(float(f1_score(truth, answers, average="macro")), 4),
    }


Predict = Callable[[Path], str]


def _handful(config: Any, core: Any) -> tuple[Predict, float]:
    """The whole of `handful train`, judged by its package."""
    import numpy as np

    from handful_core.runtime.model import load_model
    from handful_core.vision.decode import decode_image
    from handful_trainer.pipeline import stages

    made: list[Any] = []
    build = stages._package

    def timed(*words: Any) -> Any:
        made.append(time.process_time() - began)
        made.append(build(*words))
        return made[-1]

    stages._package = timed  # type: ignore[assignment]
    began = time.process_time()
    stages.start(config, core.home, core.mlflow_uri, register=False)
    seconds, built = made
    model = load_model(built.package)

    def predict(path: Path) -> str:
        answer = model.predict(decode_image(path.read_bytes()))
        assert answer.probabilities is not None
        return str(model.manifest.classes[int(np.argmax(answer.probabilities))])

    return predict, seconds


def _timm(config: Any, dataset: Any) -> tuple[Predict, float]:
    """The loop of timm's train.py."""
    import torch
    from PIL import Image
    from timm.data import create_transform
    from timm.loss import LabelSmoothingCrossEntropy
    from timm.optim import create_optimizer_v2
    from timm.scheduler import CosineLRScheduler
    from timm.utils import ModelEmaV3
    from torch.utils.data import DataLoader
    from torchvision.datasets import ImageFolder

    from handful_trainer.tasks.classification.network import Network
    from handful_trainer.tasks.classification.training.weights import lite0_weights, with_weights

    settings, began = config.training, time.process_time()
    torch.manual_seed(settings.seed)
    network = Network.of(config, dataset.classes)
    shape: dict[str, Any] = {
        "input_size": (3, network.height, network.width), "mean": network.mean, "std": network.std,
        "interpolation": "bicubic",
    }  # fmt: skip
    images = ImageFolder(str(dataset.root / "train"), create_transform(**shape, is_training=True, color_jitter=0.4))
    loader = DataLoader(images, settings.batch, shuffle=True, drop_last=True)
    model = with_weights(network.build(), network.architecture, lite0_weights(), "lite0")
    model = model.to(memory_format=torch.channels_last)
    optimizer = create_optimizer_v2(model, "adamw", settings.lr, 0.05)
    steps = len(loader)
    scheduler = CosineLRScheduler(
        optimizer, settings.epochs * steps, settings.lr / 100, warmup_t=steps, warmup_lr_init=settings.lr / 100,
        t_in_epochs=False,
    )  # fmt: skip
    loss_of, average, updates = LabelSmoothingCrossEntropy(0.1), ModelEmaV3(model, settings.ema, use_warmup=True), 0
    for _ in range(settings.epochs):
        model.train()
        for batch, truth in loader:
            loss = loss_of(model(batch.contiguous(memory_format=torch.channels_last)), truth)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            updates += 1
            average.update(model, step=updates)
            scheduler.step_update(updates)
    seconds, judged = time.process_time() - began, average.module.eval()
    transform = create_transform(**shape, is_training=False, crop_pct=1.0)

    def predict(path: Path) -> str:
        with torch.inference_mode():
            picture = transform(Image.open(path).convert("RGB"))[None]
            return images.classes[int(judged(picture).argmax())]

    return predict, seconds


def _ultralytics(config: Any, dataset: Any, budget: float, folder: Path) -> tuple[Predict, float]:
    """`yolo11n-cls` from scratch, for as long as the processor time reaches."""
    from ultralytics import YOLO

    width, height = config.training.size
    size = max(32, round(math.sqrt(width * height) / 32) * 32)
    common = {
        "data": str(dataset.root), "imgsz": size, "batch": config.training.batch, "seed": config.training.seed,
        "device": "cpu", "workers": 0, "pretrained": False, "project": str(folder / "yolo"), "verbose": False,
        "plots": False, "exist_ok": True,
    }  # fmt: skip
    began = time.process_time()
    YOLO("yolo11n-cls.yaml").train(epochs=1, name="measured", **common)
    epochs = max(1, round(budget / (time.process_time() - began)))
    began = time.process_time()
    model = YOLO("yolo11n-cls.yaml")
    model.train(epochs=epochs, name="trained", **common)
    seconds = time.process_time() - began
    best = YOLO(folder / "yolo" / "trained" / "weights" / "best.pt")
    return lambda path: str(best.names[best(path, imgsz=size, verbose=False)[0].probs.top1]), seconds


if __name__ == "__main__":
    if sys.argv[1:2] == ["--as"]:
        _train(*sys.argv[2:])
    else:
        main()
