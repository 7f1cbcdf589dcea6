"""The model card: what a version is, in Markdown, for the pages of MLflow."""

from __future__ import annotations

import html
import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlencode

import cv2
import numpy as np
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from handful_core.package import Golden, Manifest, Package
from handful_core.registry import Version
from handful_core.vision.decode import Pixels, decode_image
from handful_faces import publishing_blur
from handful_trainer.tracking.mlflow_calls import is_transient

_log = logging.getLogger(__name__)
_MAX_LETTERS = 5000
"""MLflow keeps no longer description."""
_ROWS = (50, 20, 10, 5, 0)
"""Classes that are shown: the most that fit."""
_PICTURE = "model-card/example.jpg"
_NOTE = "mlflow.note.content"
_COLOUR = (60, 60, 220)
_COLUMNS = ("labels", "boxes", "precision", "recall", "f1", "mAP50", "mAP50_95")
_TASKS = {
    "detect": "detection: finds objects, and counts them",
    "classify": "classification: names what an image shows",
}


def describe_version(client: MlflowClient, package: Package, version: Version, run_id: str) -> None:
    """Describe a version, its run and its model in MLflow. Words that somebody wrote there stay.

    A server that goes away meanwhile costs the description alone, not the registration.
    """
    try:
        pictured = _log_picture(client, package, run_id)
        card = model_card(package.manifest, version, run_id if pictured else None)
        client.update_model_version(version.name, str(version.version), card)
        if not client.get_registered_model(version.name).description:
            client.update_registered_model(version.name, _about_model(package.manifest, version.name))
        if _NOTE not in client.get_run(run_id).data.tags:
            client.set_tag(run_id, _NOTE, card)
    except (MlflowException, OSError) as error:
        if not is_transient(error):
            raise
        _log.warning("MLflow went away: %s version %s has no model card", version.name, version.version)


def model_card(manifest: Manifest, version: Version, run_id: str | None) -> str:
    """The card of a version.

    Args:
        manifest: of its package.
        version: in the registry.
        run_id: the run whose artifacts hold the picture; None if there is none.
    """
    for rows in _ROWS:
        card = "\n".join(_lines(manifest, version, run_id, rows))
        if len(card) <= _MAX_LETTERS:
            break
    return card[:_MAX_LETTERS]


def _lines(manifest: Manifest, version: Version, run_id: str | None, rows: int) -> Iterator[str]:
    yield f"# {_plain(version.name)}, version {version.version}\n"
    if run_id is not None:
        query = urlencode({"path": _PICTURE, "run_uuid": run_id})
        yield f"![What it answers to its golden image](get-artifact?{query})\n"
    yield from _table(("", ""), _facts(manifest))
    yield "\n## Test metrics\n"
    yield from _metrics(manifest.metrics)
    yield "\n## Classes\n"
    yield from _classes(manifest, rows)
    yield "\n## How to call it\n"
    yield from _calls(version)


def _facts(manifest: Manifest) -> Iterator[tuple[str, str]]:
    spec, dataset = manifest.input, manifest.dataset
    yield "task", _TASKS[manifest.task]
    yield "network", f"{_plain(manifest.architecture)}, {spec.width} x {spec.height} pixels, {manifest.precision}"
    yield "threshold", f"confidence {manifest.thresholds.confidence:g}"
    if dataset:
        images = ", ".join(f"{count} {split}" for split, count in dataset.images.items())
        yield "dataset", f"{_plain(dataset.name)} ({images} images), fingerprint {dataset.fingerprint[:12]}"
    if dataset and dataset.reviewed:
        pictures = "1 picture that was" if dataset.reviewed == 1 else f"{dataset.reviewed} pictures that were"
        yield "reviewed", f"{pictures} captured in use and reviewed by people"
    yield "made", f"{manifest.created} by Handful {manifest.producer.handful}"


def _metrics(metrics: Mapping[str, object]) -> Iterator[str]:
    numbers = [(name, f"{value:.3f}") for name, value in metrics.items() if isinstance(value, float)]
    if not numbers:
        yield "None were measured."
        return
    yield from _table(("metric", "value"), numbers)
    yield "\nThey are of this version's own test images. Those of other test images are no ranking."


def _classes(manifest: Manifest, rows: int) -> Iterator[str]:
    measured = manifest.metrics.get("per_class")
    per_class: Mapping[str, Mapping[str, float]] = measured if isinstance(measured, dict) else {}
    found = [column for column in _COLUMNS if any(column in values for values in per_class.values())]
    counts = ["counts"] if manifest.counts else []
    lines = []
    for name in manifest.classes[:rows]:
        worth = [str(manifest.counts.get(name, ""))] if manifest.counts else []
        values = per_class.get(name, {})
        lines.append((_plain(name), *worth, *(_number(values.get(column)) for column in found)))
    if lines:
        yield from _table(("class", *counts, *found), lines)
    if (more := len(manifest.classes) - rows) > 0:
        yield f"\nand {more} more: see `manifest.json` of the package."


def _calls(version: Version) -> Iterator[str]:
    name = version.name
    yield f"""```python
import handful

handful.Client("http://127.0.0.1:8000").predict("photo.jpg", model={name!r}, version={version.version})
handful.load("models:/{name}/{version.version}").predict("photo.jpg")
```

```bash
curl -F image=@photo.jpg -F "model={name}" -F version={version.version} http://127.0.0.1:8000/predict
```

The version with the alias `champion` answers requests that name none:
`handful promote "{name}" {version.version}` moves it here."""


def _about_model(manifest: Manifest, name: str) -> str:
    shown = ", ".join(_plain(each) for each in manifest.classes[:30])
    more = f" and {len(manifest.classes) - 30} more" if len(manifest.classes) > 30 else ""
    text = f"""A model for {_TASKS[manifest.task]}.

Classes: {shown}{more}.

The alias `champion` names the version that is served. Each version has its model card.

```python
import handful

handful.load("models:/{name}@champion").predict("photo.jpg")
```"""
    return text[:_MAX_LETTERS]


def _table(heading: Sequence[str], rows: Iterator[tuple[str, ...]] | Sequence[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(heading)} |"
    yield f"|{'---|' * len(heading)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}" if value != int(value) or value <= 1 else f"{value:.0f}"


def _plain(text: str) -> str:
    """A name as Markdown shows it, whatever is in it."""
    escaped = html.escape(" ".join(text.split())[:100], quote=False)
    return "".join(f"\\{letter}" if letter in "\\`*_[]|#!" else letter for letter in escaped)


def _log_picture(client: MlflowClient, package: Package, run_id: str) -> bool:
    """Log the golden image with the answer drawn and faces blurred; whether there is one."""
    golden = package.manifest.golden
    if golden is None:
        return False
    picture = example_picture(package, golden)
    with tempfile.TemporaryDirectory(prefix="handful-card-") as folder:
        path = Path(folder) / Path(_PICTURE).name
        path.write_bytes(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes())
        client.log_artifact(run_id, str(path), str(Path(_PICTURE).parent))
    return True


def example_picture(package: Package, golden: Golden) -> Pixels:
    """The golden image with its expected boxes, and its faces blurred.

    Returns:
        (height, width, 3) uint8, BGR.
    """
    pixels = decode_image((package.root / golden.image).read_bytes())
    publishing_blur()(pixels)
    for found in golden.detections:
        x1, y1, x2, y2 = (int(edge) for edge in np.round(found.box))
        cv2.rectangle(pixels, (x1, y1), (x2, y2), _COLOUR, 2)
        text = f"{package.manifest.classes[found.class_id]} {found.confidence:.2f}"
        cv2.putText(pixels, text, (x1 + 3, max(y1 - 5, 15)), cv2.FONT_HERSHEY_SIMPLEX, 0.5, _COLOUR, 2, cv2.LINE_AA)
    return pixels
