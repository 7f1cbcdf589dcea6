"""Whatever picture a training or a registration logs has its faces blurred, and is none that was captured."""

from __future__ import annotations

import base64
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pytest
from mlflow.tracking import MlflowClient

from fakes.packages import build_package
from handful_core.package import Package, open_package, write_package
from handful_core.package.archive import describe_files
from handful_core.registry import Registry
from handful_core.review import Annotation, ReviewedObject, ReviewStore
from handful_core.runtime.model import VisionModel
from handful_core.runtime.onnx import OnnxSession
from handful_core.vision.decode import Pixels, decode_image
from handful_faces.centerface import CenterFace
from handful_trainer.packaging.golden import _expected, with_golden
from support.captured import draw_picture, draw_review
from support.mlflow_server import MlflowServer
from support.training import Trainer

_PICTURES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif"}
_TEXTS = {".html", ".json", ".md", ".csv", ".svg", ".txt", ".yaml"}
_SIDE = 320
_CELLS, _BLURRED = 6, 15.0
_IN_TEXT = re.compile(r"(?:data:image/\w+;base64,|\")((?:/9j/|iVBOR)[A-Za-z0-9+/=]{200,})")
"""JPEG and PNG in base64, as an address or as a value."""


@pytest.fixture(scope="module")
def portrait() -> Pixels:
    """A photograph of Grace Hopper, which Matplotlib ships: one face."""
    return decode_image((Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg").read_bytes())


@pytest.fixture
def portraits(dataset: Path, portrait: Pixels, tmp_path: Path) -> Path:
    """The small dataset, with a person in each image: labels are as they were."""
    copy = Path(shutil.copytree(dataset, tmp_path / "portraits"))
    for number, path in enumerate(sorted((copy / "images").rglob("*.png"))):
        moved = np.roll(portrait, 3 * number, axis=1)  # No two are the same image.
        assert cv2.imwrite(str(path), cv2.resize(moved, (256, 300), interpolation=cv2.INTER_AREA))
    return copy


def test_a_training_logs_no_face(trainer: Trainer, portraits: Path, tmp_path: Path) -> None:
    assert all(_faces(decode_image(path.read_bytes())) for path in (portraits / "images").rglob("*.png"))
    settings = (
        f"dataset.path={portraits}",
        "dataset.keep_together.near_duplicates=-1",
        "training.epochs=1",
        "training.imgsz=128",
    )
    outcome = trainer.finish(trainer.start(*trainer.anew(*settings)), seconds=900)
    client = MlflowClient(trainer.uri)
    logged = Path(client.download_artifacts(outcome["run_id"], "", str(_made(tmp_path / "run"))))
    with Registry(trainer.uri) as registry:
        version = registry.version(trainer.name, outcome["version"])
    assert version.run_id == outcome["run_id"]
    (model,) = client.search_logged_models([client.get_experiment_by_name(trainer.name).experiment_id])  # type: ignore[union-attr]
    model_folder = _download(client, model.model_id, tmp_path / "model")
    seen = {name: pixels for root in (logged, model_folder) for name, pixels in _pictures_below(root)}
    named = " ".join(seen)
    for expected in ("test_pictures.html", "report.html", "golden.png", "example.jpg", "train_batch", "input_example"):
        assert expected in named, expected
    assert {name for name, pixels in seen.items() if _faces(pixels)} == set()


def test_a_training_logs_no_captured_picture(
    tmp_path: Path, dataset: Path, shared_server: MlflowServer, request: pytest.FixtureRequest
) -> None:
    """Who deletes one finds it nowhere afterwards. These are magenta, as nothing else is but two small squares."""
    model = tmp_path.name
    with ReviewStore.at(shared_server.uri) as store:
        for number in range(20):
            jpeg = _magenta(number)
            picture = draw_picture(model, jpeg)
            store.add(picture, jpeg)
            store.write(draw_review(picture, annotation=Annotation((ReviewedObject("5", (40, 30, 120, 110)),))))
    sources = [{"source": "yolo", "path": str(dataset)}, {"source": "reviewed", "model": model, "test": True}]
    content = {
        "dataset": {
            "sources": sources,
            "name": model,
            "keep_together": {"near_duplicates": -1},
            "split": {"source": "ignore"},
        },
        "training": {"epochs": 1, "imgsz": 64, "batch": 6, "workers": 0},
        "package": {"confidence": 0.01},
    }
    trainer = Trainer(tmp_path, dataset, shared_server.uri, content)
    request.addfinalizer(trainer.end_all)
    outcome = trainer.finish(trainer.start("--config", str(trainer.config)), seconds=900)
    prepared = {path.parent.name for path in (trainer.home / "datasets").rglob("*.jpg") if _is_magenta(_read(path))}
    assert prepared == {"train", "val", "test"}, "they are learnt"
    client = MlflowClient(trainer.uri)
    logged = Path(client.download_artifacts(outcome["run_id"], "", str(_made(tmp_path / "run"))))
    (found,) = client.search_logged_models([client.get_experiment_by_name(trainer.name).experiment_id])  # type: ignore[union-attr]
    folders = (logged, _download(client, found.model_id, tmp_path / "model"), trainer.home / "runs")
    seen = {f"{root.name}/{name}": pixels for root in folders for name, pixels in _pictures_below(root)}
    assert "golden.png" in " ".join(seen)
    assert [name for name, pixels in seen.items() if _is_magenta(pixels)] == []
    assert "data:image/jpeg" in (logged / "dataset" / "report.html").read_text(encoding="utf-8"), "others are shown"


def _magenta(seed: int) -> bytes:
    pixels = np.full((240, 320, 3), (255, 0, 255), np.uint8)
    pixels[30:110, 40 + seed : 120 + seed] = (200, 0, 255)
    return bytes(cv2.imencode(".jpg", pixels)[1])


def _read(path: Path) -> Pixels:
    return decode_image(path.read_bytes())


def _is_magenta(pixels: Pixels) -> bool:
    blue, green, red = (pixels[..., channel].astype(int) for channel in range(3))
    return float(((red > 180) & (blue > 140) & (green < 90)).mean()) > 0.05


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _faces(pixels: Pixels) -> int:
    """Faces in a picture that somebody could be known by; it is enlarged if it is small.

    What is left of a blurred face may be found as one again. It has no detail: it is its own few averaged cells.
    """
    larger = max(1.0, _SIDE / max(pixels.shape[:2]))
    seen = np.asarray(cv2.resize(pixels, None, fx=larger, fy=larger, interpolation=cv2.INTER_CUBIC), np.uint8)
    boxes = CenterFace(max(seen.shape[:2]), 1).find(seen).round().astype(int)
    return sum(_detail(seen[max(0, y1) : y2, max(0, x1) : x2]) > _BLURRED for x1, y1, x2, y2 in boxes.tolist())


def _detail(face: Pixels) -> float:
    """How far a face is from its own cells, in the mean: 28 to 39 at all sizes tried, and 7 for a blurred one."""
    cells = cv2.resize(face, (_CELLS, _CELLS), interpolation=cv2.INTER_AREA)
    return float(
        np.abs(face.astype(float) - cv2.resize(cells, face.shape[1::-1], interpolation=cv2.INTER_LINEAR)).mean()
    )


def _pictures_below(root: Path) -> Iterator[tuple[str, Pixels]]:
    for path in sorted(root.rglob("*")):
        if path.suffix in _PICTURES:
            yield str(path.relative_to(root)), decode_image(path.read_bytes())
        elif path.suffix in _TEXTS:
            for number, found in enumerate(_IN_TEXT.findall(path.read_text(encoding="utf-8", errors="replace"))):
                yield f"{path.relative_to(root)}#{number}", decode_image(base64.b64decode(found))


def _download(client: MlflowClient, model_id: str, target: Path) -> Path:
    """All files of a logged model."""
    import mlflow

    mlflow.set_tracking_uri(client.tracking_uri)
    return Path(mlflow.artifacts.download_artifacts(f"models:/{model_id}", dst_path=str(_made(target))))


@pytest.fixture
def unblurred(portrait: Pixels, tmp_path: Path) -> Package:
    """A package whose golden image shows a face, as from an older Handful."""
    package = build_package(tmp_path / "made" / "package")
    golden = package.manifest.golden
    assert golden is not None
    picture = np.asarray(cv2.resize(portrait, (256, 300), interpolation=cv2.INTER_AREA), np.uint8)
    assert cv2.imwrite(str(package.root / golden.image), picture)
    answer = _expected(VisionModel(package, OnnxSession(package, 1)).predict(picture, golden.confidence).detections)
    shown = {"golden": golden.model_copy(update={"detections": answer}), "files": describe_files(package.root)}
    return write_package(package.root, package.manifest.model_copy(update=shown))


def test_a_package_from_elsewhere_is_registered_without_its_face(
    trainer: Trainer, unblurred: Package, tmp_path: Path
) -> None:
    before = decode_image((unblurred.root / "golden.png").read_bytes())
    assert _faces(before)
    done = trainer.run("register", str(unblurred.root), "--name", trainer.name)
    assert done.returncode == 0, done.stderr
    assert "the faces in its golden image are blurred" in done.stderr
    with Registry(trainer.uri) as registry:
        version = registry.version(trainer.name, json.loads(done.stdout)["version"])
        folder = registry.download_package(version, tmp_path / "again")
    with open_package(folder) as package:
        assert package.digest != unblurred.digest
        after = decode_image((package.root / "golden.png").read_bytes())
    assert not _faces(after)
    assert decode_image((unblurred.root / "golden.png").read_bytes()).tolist() == before.tolist(), "it is left alone"


def test_a_golden_picture_that_somebody_names_is_blurred(portrait: Pixels, tmp_path: Path) -> None:
    assert cv2.imwrite(str(tmp_path / "person.png"), portrait)
    package = with_golden(build_package(tmp_path / "package"), tmp_path / "person.png", tmp_path / "copy")
    golden = decode_image((package.root / "golden.png").read_bytes())
    small = cv2.resize(portrait, golden.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert _faces(np.asarray(small, np.uint8)), "at this size it would still be one"
    assert not _faces(golden)
