"""What a classifier's training costs: `handful train`, plain Lightning and timm's own loop, in turns, in one run.

    python tests/benchmarks/leaves_training.py [--epochs 3] [--rounds 3] [--json]

All three get the same network and weights, images, augmentation, batches, optimizer, learning rates, average of the
weights (timm's), threads and memory layout (channels last: without it the others would look slower than they are), and
write a checkpoint after each epoch. `timm` is the loop of timm's train.py with its loss, scheduler, meters and saver;
`lightning` a LightningModule with a Trainer, as its documentation has it; `handful` the whole of `handful train`, with
its journal, measured up to the package. Measured are whole epochs, from the first batch to the end of the validation
and the checkpoint, but the first and the last of each training, so neither imports nor exports count. MLflow runs
beside all three. Ratios are of median epochs, by the clock, and by the processor time of the training's own process,
which another program disturbs less. The aims: handful over lightning at most 1.03, lightning over timm at most 1.10.
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

_IMGSZ, _BATCH, _LR, _EMA = 160, 16, 5e-4, 0.999
_TRAIN, _OTHERS = 128, 32
"""Images of each class."""
_WAYS = ("timm", "lightning", "handful")
_RATIOS = {"handful_over_lightning": ("handful", "lightning"), "lightning_over_timm": ("lightning", "timm")}
_TITLES = {"timm": "timm's own loop", "lightning": "plain Lightning", "handful": "handful train"}


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
    for way in _WAYS:
        wall, cpu = result["seconds"][way], result["cpu_seconds"][way]
        print(f"{_TITLES[way]:16}  {wall:.2f} s an epoch (median of {result['epochs']}), {cpu:.2f} s of processors")
    for name, ratios in result["ratios"].items():
        print(f"{name.replace('_', ' ')}  {ratios['clock']:.3f}, by processors {ratios['cpu']:.3f}")


def compare(folder: Path, epochs: int, rounds: int) -> dict[str, Any]:
    """Median seconds of an epoch all three ways."""
    server = MlflowServer(folder / "mlflow").start()
    environment = os.environ | {"HANDFUL_HOME": str(folder / "home"), "HANDFUL_MLFLOW_URI": server.uri}
    times: dict[str, list[list[float]]] = {way: [] for way in _WAYS}
    try:
        _draw(folder / "leaves")
        for turn in range(rounds):
            # Who comes first changes: a machine warms up, or slows down.
            for way in _WAYS[turn % 3 :] + _WAYS[: turn % 3]:
                times[way] += _epochs(way, epochs, folder, environment)
    finally:
        server.stop()
    wall, cpu = ({way: statistics.median(one[which] for one in times[way]) for way in _WAYS} for which in (0, 1))
    ratios = {name: {"clock": wall[a] / wall[b], "cpu": cpu[a] / cpu[b]} for name, (a, b) in _RATIOS.items()}
    return {"epochs": len(times["timm"]), "seconds": wall, "cpu_seconds": cpu, "ratios": ratios}


def _draw(root: Path) -> None:
    """Noisy pictures of three colours, as files of a usual size."""
    import cv2

    from support.small_leaves import COLOURS, leaf

    for split, images in (("train", _TRAIN), ("val", _OTHERS), ("test", _OTHERS)):
        for name in COLOURS:
            (root / split / name).mkdir(parents=True)
            for number in range(images):
                picture = cv2.resize(leaf(name, number), (320, 240))
                cv2.imwrite(str(root / split / name / f"{split}-{number}.jpg"), picture)


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
    from handful_trainer.tasks.classification.settings import ClassificationConfig
    from handful_trainer.tasks.classification.training.train import configure

    content = {
        "model": {"pretrained": "efficientnet-lite0"},
        "dataset": {"source": "folder", "path": str(folder / "leaves"), "keep_together": {"near_duplicates": -1}},
        "training": {"epochs": epochs, "imgsz": _IMGSZ, "batch": _BATCH, "lr": _LR, "ema": _EMA, "patience": 0,
                     "device": "cpu"},
        "mlflow": {"experiment": "benchmark"},
    }  # fmt: skip
    config, core = ClassificationConfig.model_validate(content), load(CoreSettings)
    dataset = prepare(config.dataset, core.home, task="classify")
    configure()
    ends: list[tuple[float, float]] = []
    if way == "handful":
        _handful(config, core, ends)
    else:
        (_lightning if way == "lightning" else _timm)(_Parts(config, dataset), folder, ends)
    ends.append(_now())
    print(json.dumps([(b[0] - a[0], b[1] - a[1]) for a, b in itertools.pairwise(ends)][:epochs]))


class _Parts:
    """What a script of one's own would have: a network, its images, an optimizer, and learning rates."""

    def __init__(self, config: Any, dataset: Any) -> None:
        import torch
        from torch.utils.data import DataLoader, Dataset

        from handful_trainer.tasks.classification.data.datasets import ServedImages, VariedImages
        from handful_trainer.tasks.classification.network import Network
        from handful_trainer.tasks.classification.training.weights import lite0_weights, with_weights

        network = Network.of(config, dataset.classes)
        varied = VariedImages(train := list(dataset.split("train")), network, config.augmentation)

        class Shuffled(Dataset[Any]):
            def __len__(self) -> int:
                return len(train)

            def __getitem__(self, index: int) -> Any:
                return varied[index, int(torch.randint(2**31, ()))]

        self.config, self.epochs = config, config.training.epochs
        model = with_weights(network.build(), network.architecture, lite0_weights(), "lite0")
        self.model = model.to(memory_format=torch.channels_last)
        self.train = DataLoader(Shuffled(), _BATCH, shuffle=True, drop_last=True)
        self.val = DataLoader(ServedImages(list(dataset.split("val")), network), _BATCH)

    def optimizer(self) -> Any:
        """AdamW, as timm makes it."""
        from timm.optim import create_optimizer_v2

        return create_optimizer_v2(self.model, "adamw", _LR, self.config.training.weight_decay)

    def scheduler(self, optimizer: Any) -> Any:
        """A cosine, step by step."""
        from timm.scheduler import CosineLRScheduler

        steps = len(self.train)
        return CosineLRScheduler(
            optimizer, self.epochs * steps, _LR / 100, warmup_t=steps, warmup_lr_init=_LR / 100, t_in_epochs=False
        )


def _timm(parts: _Parts, folder: Path, ends: list[tuple[float, float]]) -> None:
    """The loop of timm's train.py."""
    import torch
    from timm.loss import LabelSmoothingCrossEntropy
    from timm.utils import AverageMeter, CheckpointSaver, ModelEmaV3, accuracy

    model, optimizer, loss_of = parts.model, parts.optimizer(), LabelSmoothingCrossEntropy(0.1)
    scheduler, average, updates = parts.scheduler(optimizer), ModelEmaV3(model, _EMA, use_warmup=True), 0
    saver = CheckpointSaver(
        model, optimizer, model_ema=average, checkpoint_dir=str(_made(folder / "timm")), max_history=1
    )
    for epoch in range(parts.epochs):
        ends.append(_now())
        losses, top1 = AverageMeter(), AverageMeter()
        model.train()
        for images, truth in parts.train:
            loss = loss_of(model(images.contiguous(memory_format=torch.channels_last)), truth)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            updates += 1
            average.update(model, step=updates)
            losses.update(loss.item(), len(images))
            scheduler.step_update(updates)
        average.module.eval()
        with torch.inference_mode():
            for images, truth in parts.val:
                answers = average.module(images.contiguous(memory_format=torch.channels_last))
                top1.update(accuracy(answers, truth, topk=(1,))[0].item(), len(images))
        saver.save_checkpoint(epoch, metric=top1.avg)


def _lightning(parts: _Parts, folder: Path, ends: list[tuple[float, float]]) -> None:
    """A LightningModule and a Trainer."""
    import lightning
    import torch
    from lightning.pytorch.callbacks import ModelCheckpoint
    from timm.loss import LabelSmoothingCrossEntropy
    from timm.utils import ModelEmaV3

    class Plain(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model, self.loss_of = parts.model, LabelSmoothingCrossEntropy(0.1)
            self.average = ModelEmaV3(parts.model, _EMA, use_warmup=True)

        def training_step(self, batch: Any, _: int) -> Any:
            images, truth = batch
            loss = self.loss_of(self.model(images.contiguous(memory_format=torch.channels_last)), truth)
            self.log("train/loss", loss, on_epoch=True)
            return loss

        def on_train_batch_end(self, *_: Any) -> None:
            self.average.update(self.model, step=self.trainer.global_step)

        def validation_step(self, batch: Any, _: int) -> None:
            images, truth = batch
            answers = self.average.module(images.contiguous(memory_format=torch.channels_last))
            self.log("val/accuracy", (answers.argmax(1) == truth).float().mean())

        def configure_optimizers(self) -> Any:
            optimizer = parts.optimizer()
            return [optimizer], [{"scheduler": parts.scheduler(optimizer), "interval": "step"}]

        def lr_scheduler_step(self, scheduler: Any, _: Any) -> None:
            scheduler.step_update(self.global_step)

        def on_train_epoch_start(self) -> None:
            ends.append(_now())

    trainer = lightning.Trainer(
        accelerator="cpu", max_epochs=parts.epochs, logger=False, num_sanity_val_steps=0, enable_progress_bar=False,
        callbacks=[ModelCheckpoint(_made(folder / "lightning"), save_last="link")],
    )  # fmt: skip
    trainer.fit(Plain(), parts.train, parts.val)


def _handful(config: Any, core: Any, ends: list[tuple[float, float]]) -> None:
    from handful_trainer.pipeline import stages as pipeline
    from handful_trainer.tasks.classification.training.epochs import Epochs

    begin = Epochs.on_train_epoch_start

    def timed(self: Epochs, *words: object) -> None:
        ends.append(_now())
        begin(self, *words)

    Epochs.on_train_epoch_start = timed  # type: ignore[method-assign]
    pipeline._package = lambda *_: None  # type: ignore[assignment]
    pipeline.start(config, core.home, core.mlflow_uri, register=False)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _now() -> tuple[float, float]:
    """By the clock, and what the threads of this process have worked."""
    return time.perf_counter(), time.process_time()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--as"]:
        _train(sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
    else:
        main()
