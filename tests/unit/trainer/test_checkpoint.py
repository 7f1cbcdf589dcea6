"""What weights say of the machine that trained them."""

from __future__ import annotations

from pathlib import Path

from handful_trainer.tasks.detection.export import write_checkpoint
from handful_trainer.tasks.detection.ultralytics import configure_ultralytics


def test_the_paths_of_the_machine_stay_at_home(tmp_path: Path) -> None:
    configure_ultralytics(tmp_path)
    import torch
    from ultralytics import YOLO
    from ultralytics.utils import IterableSimpleNamespace
    from ultralytics.utils.patches import torch_load

    places = dict.fromkeys(("data", "model", "pretrained", "project", "save_dir"), "/secret/place/file")
    network = YOLO("yolo11n.yaml").model
    network.args = IterableSimpleNamespace(imgsz=320, **places)
    network.pt_path = "/secret/begin.pt"
    checkpoint = {"model": network, "train_args": {"imgsz": 320, **places}, "git": {"root": "/secret"}, "version": "8"}
    torch.save(checkpoint, tmp_path / "own.pt")
    write_checkpoint(tmp_path / "own.pt", tmp_path / "plain.pt")
    assert b"/secret" in (tmp_path / "own.pt").read_bytes()
    assert b"/secret" not in (tmp_path / "plain.pt").read_bytes()
    plain = torch_load(tmp_path / "plain.pt", map_location="cpu")
    assert plain["train_args"] == {"imgsz": 320, **dict.fromkeys(places, "file")}
    assert plain["model"].args.imgsz == 320
    assert plain["version"] == "8"
