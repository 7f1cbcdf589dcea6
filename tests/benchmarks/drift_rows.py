"""Rows of real images for `drift.py`: what the shipped starter model answers to them, as they are and changed.

A changed image is written again with its own JPEG quality, so that this does not give it away. Strange images are there
twice: as they are, and at the usual images' size and JPEG quality.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import multiprocessing
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from handful_core.errors import DataError
from handful_core.files import write_atomically
from handful_core.package import SCHEMA_VERSION, ExtraOutput, Package, ProfileSpec, write_package
from handful_core.package.archive import describe_files, read_folder
from handful_core.profile import Feature, FeatureValue, Profile, features_of_model
from handful_core.profile.appearance import SIDE, jpeg_quality
from handful_core.profile.measurement import features_of
from handful_core.profile.projection import DIRECTIONS, PROJECTION_FILE, fit_projection
from handful_core.runtime.model import VisionModel, load_model
from handful_core.vision.decode import Pixels, decode_reduced

STARTER = Path(__file__).parents[2] / "models" / "starter.zip"
Row = dict[str, FeatureValue]
Change = Callable[[Pixels, np.random.Generator], Pixels]
_SIZE, _QUALITY = (480, 360), 84
"""Of fingers-1500."""
_CHANNELS = 256


def darker(image: Pixels, _: np.random.Generator) -> Pixels:
    """By 40 %."""
    return np.asarray(image * 0.6 + 0.5, np.uint8)


def blurred(image: Pixels, _: np.random.Generator) -> Pixels:
    """By a Gaussian of 3 pixels."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 3), np.uint8)


def other_camera(image: Pixels, random: np.random.Generator) -> Pixels:
    """Warmer by 8 %, another tone curve, darker corners, and the noise of a small sensor."""
    height, width = image.shape[:2]
    x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    curve = 255 * (image / 255.0) ** 1.15 * np.array([0.92, 1.0, 1.08])
    lit = curve * (1 - 0.15 * (x**2 + y**2) / 2)[..., None]
    return np.asarray(np.clip(lit + random.normal(0, 4, image.shape), 0, 255), np.uint8)


def as_it_is(image: Pixels, _: np.random.Generator) -> Pixels:
    """Not changed."""
    return image


def made_alike(image: Pixels, _: np.random.Generator) -> Pixels:
    """The middle of the image, at 480 by 360 pixels."""
    height, width = image.shape[:2]
    side = min(width / 4, height / 3)
    across, down = round(4 * side), round(3 * side)
    left, top = (width - across) // 2, (height - down) // 2
    return np.asarray(cv2.resize(image[top : top + down, left : left + across], _SIZE, interpolation=cv2.INTER_AREA))


CHANGES: dict[str, Change] = {"darker": darker, "blurred": blurred, "other camera": other_camera}


STRANGE = {"out of distribution": as_it_is, "out of distribution, made alike": made_alike}


def load(
    data: Path, cache: Path, images: int, jobs: int = 1
) -> tuple[tuple[Feature, ...], dict[str, list[Row]], list[list[str]]]:
    """Everything that is measured on. What is in the cache needs no model.

    Args:
        data: the folder that holds fingers-1500 and the others.
        cache: a folder that keeps the answers between runs.
        images: of each kind, at most.
        jobs: processes.

    Returns:
        The features; rows by kind, of which `usual` and the changed ones belong together by their place; and the
        classes that each usual image shows by its labels.
    """
    usual, leaves = _hands(data / "fingers-1500", images), sorted((data / "beans-field").rglob("*.jpg"))[:images]
    kinds = {"usual": (usual, as_it_is), **{name: (usual, change) for name, change in CHANGES.items()}}
    kinds["other people"] = (_hands(data / "fingers-office-1000", images), as_it_is)
    kinds |= {name: (leaves, change) for name, change in STRANGE.items()}
    kept = {kind: cached(cache, kind, files, change) for kind, (files, change) in kinds.items()}
    if missing := [kind for kind, path in kept.items() if not path.is_file()]:
        with tempfile.TemporaryDirectory(prefix="handful-drift-") as folder:
            package = starter(Path(folder), _hands(data / "fingers-315", 1000))
            with multiprocessing.get_context("spawn").Pool(jobs) as pool:
                work = [(package.root, *kinds[kind], kept[kind]) for kind in missing]
                pool.starmap(_measure, work, chunksize=1)
    contents = {kind: json.loads(path.read_text(encoding="utf-8")) for kind, path in kept.items()}
    features = tuple(Feature(*feature) for feature in contents["usual"]["features"])
    return (
        features,
        {kind: content["rows"] for kind, content in contents.items()},
        _labels(data / "fingers-1500", usual),
    )


def starter(folder: Path, training: list[Path]) -> Package:
    """The starter model, out of its backup, with what packages have that are made today: an embedding, projected.

    The projection is fitted on images of the same kind that nothing else here uses.
    """
    with zipfile.ZipFile(STARTER) as backup:
        manifest = next(name for name in backup.namelist() if name.endswith("/package/manifest.json"))
        root = manifest.removesuffix("manifest.json")
        backup.extractall(folder, [name for name in backup.namelist() if name.startswith(root)])
    package = read_folder(folder / root)
    if package.manifest.output.embedding is None:
        output = package.manifest.output.model_copy(update={"embedding": _add_embedding(package.model_path)})
        package = _written(package, {"output": output, "schema_version": SCHEMA_VERSION})
    model = load_model(package, 1)
    embeddings = [model.raw(pixels)[1] for file in training if (pixels := _decoded(file)) is not None]
    rows = fit_projection(np.asarray(embeddings, np.float32), DIRECTIONS)
    np.save(package.root / PROJECTION_FILE, rows.astype(np.float16))
    Profile("detect", (Feature("brightness", "continuous"),), {"brightness": []}, {}).write(package.root)
    return _written(package, {"profile": ProfileSpec(images=0, projection=PROJECTION_FILE, directions=len(rows) - 1)})


def _written(package: Package, update: dict[str, object]) -> Package:
    manifest = package.manifest.model_copy(update={**update, "files": describe_files(package.root)})
    return write_package(package.root, manifest)


def _add_embedding(path: Path) -> ExtraOutput:
    """Let YOLO11n's graph give the mean of what its backbone's last layer, the eleventh, sees."""
    import onnx

    graph = onnx.load(path)
    nodes = graph.graph.node
    made = {name for node in nodes if "/model.10/" in node.name for name in node.output}
    (seen,) = made & {name for node in nodes if "/model.10/" not in node.name for name in node.input}
    nodes.append(onnx.helper.make_node("GlobalAveragePool", [seen], ["pooled"]))
    nodes.append(onnx.helper.make_node("Flatten", ["pooled"], ["embedding"]))
    graph.graph.output.append(onnx.helper.make_tensor_value_info("embedding", onnx.TensorProto.FLOAT, [1, _CHANNELS]))
    onnx.save(graph, path)
    return ExtraOutput(name="embedding", shape=(1, _CHANNELS))


def _decoded(file: Path) -> Pixels | None:
    """Some of fingers-315 are broken on purpose."""
    try:
        return decode_reduced(file.read_bytes()).pixels
    except DataError:
        return None


def _hands(folder: Path, images: int) -> list[Path]:
    return sorted((folder / "assets").iterdir())[:images]


def _labels(folder: Path, files: list[Path]) -> list[list[str]]:
    annotations = json.loads((folder / "annotations.json").read_text(encoding="utf-8"))
    return [[box["label"] for box in annotations[file.stem][0]["rectangles"]] for file in files]


def cached(cache: Path, kind: str, files: list[Path], change: Change) -> Path:
    """Where the answers to some images are kept: another model, change or measuring has another place."""
    measured_by = sorted(Path(features_of.__code__.co_filename).parent.glob("[am]*.py"))
    code = "".join([inspect.getsource(change), *(path.read_text(encoding="utf-8") for path in measured_by)])
    model = hashlib.sha256(STARTER.read_bytes()).hexdigest()
    key = hashlib.sha256("\0".join([code, model, *(path.name for path in files)]).encode())
    return cache / f"{kind.replace(' ', '-').replace(',', '')}-{key.hexdigest()[:12]}.json"


def _measure(root: Path, files: list[Path], change: Change, target: Path) -> None:
    cv2.setNumThreads(1)
    model = load_model(read_folder(root), 1)
    content = {"features": features_of_model(model.manifest), "rows": list(_answers(model, files, change))}
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(target, json.dumps(content))


def _answers(model: VisionModel, files: list[Path], change: Change) -> Iterator[Row]:
    random = np.random.default_rng(0)
    enough = max(model.manifest.input.width, model.manifest.input.height, SIDE)
    for file in files:
        data = file.read_bytes()
        if change is not as_it_is:
            pixels = change(decode_reduced(data).pixels, random)
            quality = _QUALITY if change is made_alike else jpeg_quality(data) or _QUALITY
            data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
        image = decode_reduced(data, enough=enough)
        found = model.predict(image.pixels).scaled(*image.scale)
        yield features_of(data, image, found, model.manifest)


def default_cache() -> Path:
    """Where answers are kept between runs."""
    return Path(tempfile.gettempdir()) / f"handful-drift-{os.getuid() if hasattr(os, 'getuid') else 'cache'}"
