"""The models of the server that most tests share, and what the monitor says of them."""

from __future__ import annotations

from pathlib import Path

from fakes.packages import build_package
from fakes.registry import FakeMlflow
from handful_monitor.domain.verdict import Stream
from handful_monitor.standing import RunReference
from support.live_monitor import LiveMonitor

MAX_BODY = 1_000_000
"""Bytes that the server takes."""
LEAVES = ("healthy", "rust", "mildew")
"""Classes of the classifier."""
OWN_THRESHOLD = 0.613
"""The confidence threshold that version 1 of the detector brings along."""

BETTER = {
    "gate.decision": "promoted",
    "gate.reason": "mAP50 0.9134 is better than champion 1's 0.8021 by 0.005; the difference is +0.1113, 95 % interval "
    "+0.0400 to +0.1800; 40 of 60 test images are new to both (20 that champion 1 has seen left out)",
}
UNDECIDED = {
    "gate.decision": "undecided",
    "gate.reason": "12 of 60 test images are new to both (48 that champion 2 has seen left out), fewer than "
    "gate.min_images (30); champion 2 stays: add test images that neither has seen, or promote by hand: "
    "handful promote fingers 3",
}


def stock(mlflow: FakeMlflow, root: Path) -> None:
    """Register three versions of a detector, the second the champion and the third broken, and a classifier."""
    first = build_package(root / "1", thresholds={"confidence": OWN_THRESHOLD, "iou": 0.7})
    second = build_package(root / "2", head="nms_free", sharpness=8)
    third = build_package(root / "3")
    (third.root / "model.onnx").write_bytes(b"broken")
    leaves = build_package(root / "leaves", head="probabilities", name="leaves", classes=LEAVES, limits=True)
    mlflow.register(first, tags={"metrics.mAP50": "0.81", "metrics.count_accuracy": "0.7"}, aliases=["previous"])
    mlflow.register(second, tags={"metrics.mAP50": "0.9134", **BETTER}, aliases=["champion"])
    mlflow.register(third, tags=UNDECIDED)
    mlflow.runs |= {f"{number:032x}": {} for number in (3, 4)}
    for number in (1, 2):
        mlflow.runs[f"{number:032x}"] = {
            "train/box_loss": [2.0, 1.2, 0.9 / number],
            "metrics/mAP50": [0.3, 0.6, 0.45 * number],
            "test/class/5/mAP50": [0.45 * number],
            "test/class/2/mAP50": [0.4 * number],
        }
    mlflow.register(leaves, "leaves", aliases=["champion"], tags={"task": "classify", "metrics.macro_f1": "0.93"})


CAMERA, LINE, DOOR = (Stream("fingers", "2", source) for source in ("camera-1", "line-2", "door"))


def stock_monitor(monitor: LiveMonitor) -> None:
    """One camera's pictures have become darker, another's are as ever, and of a third there are too few yet."""
    for place, hours in enumerate((5.0, 4.5, 4.0)):
        monitor.say(CAMERA, hours, seed=place)
    for place, hours in enumerate((1.5, 1.0, 0.5)):
        monitor.say(CAMERA, hours, seed=10 + place, brightness=-0.17, score_mean=-0.12)
    monitor.standing.keep_report(CAMERA, RunReference("7", "1" * 32))
    monitor.say(LINE, 1, seed=20)
    monitor.standing.gather("fingers", {DOOR: 130, CAMERA: 80})
    monitor.standing.end_round()
