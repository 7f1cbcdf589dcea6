"""`handful predict`: against a package on disk, or a running server."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any

import typer

from handful_core.console import out, print_json, print_table, say
from handful_core.errors import ConfigError, DataError
from handful_core.settings import CoreSettings, load

_SHADES = " .:-=+*#%@"
"""From no evidence to the most, in letters that every terminal has."""


def predict(
    files: Annotated[list[Path], typer.Argument(help="Image files.")],
    package: Annotated[Path | None, typer.Option("--package", help="A model package: folder or ZIP file.")] = None,
    server: Annotated[
        str | None, typer.Option("--server", help="Address of a server; HANDFUL_SERVER if not given.")
    ] = None,
    model: Annotated[str | None, typer.Option("--model", help="Which model of the server.")] = None,
    version: Annotated[int | None, typer.Option("--version", help="Which version of it.")] = None,
    alias: Annotated[str | None, typer.Option("--alias", help="Which alias of it.")] = None,
    confidence: Annotated[
        float | None, typer.Option("--confidence", min=0, max=1, help="Lowest score that counts.")
    ] = None,
    iou: Annotated[float | None, typer.Option("--iou", min=0, max=1, help="Overlap that makes two boxes one.")] = None,
    top: Annotated[int, typer.Option("--top", min=1, max=100, help="How many classes of a classifier come first.")] = 5,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show where in the image a classifier sees its class, if it can.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answers as JSON.")] = False,
) -> None:
    """Find and count what is in images, or name what they show."""
    if package is not None and (server or model or version or alias):
        raise ConfigError("--package runs here and knows no --server, --model, --version or --alias", "leave one out")
    if package is not None:
        predictions = _local(package, files, _Options(confidence, iou, top, explain))
    else:
        settings = load(CoreSettings)
        key = settings.api_key.get_secret_value() if settings.api_key else None
        options = {"model": model, "version": version, "alias": alias, "confidence": confidence, "iou": iou}
        asked = {"top": top, "explain": "true" if explain else None}
        predictions = _remote(server or settings.server, key, files, options | asked)
    if explain and not any(p.get("explanation") for p in predictions):
        say("no answer has a map: detectors have none, nor do packages that were made without")
    if as_json:
        print_json(predictions)
        return
    # Another version may have become champion between two files.
    for (name, number, task), answers in groupby(predictions, lambda p: (p["model"], p["version"], p["task"])):
        _show(f"{name} version {number}", task, list(answers), top)


@dataclass(frozen=True, slots=True)
class _Options:
    confidence: float | None
    iou: float | None
    top: int
    explain: bool


def _remote(address: str, key: str | None, files: list[Path], options: dict[str, Any]) -> list[dict[str, Any]]:
    from handful_core.client import ServingClient

    with ServingClient(address, key=key) as server:
        return [{"file": str(file), **server.predict(file, **options)} for file in files]


def _local(package: Path, files: list[Path], options: _Options) -> list[dict[str, Any]]:
    from handful_core.package import open_package
    from handful_core.runtime.model import load_model
    from handful_core.vision.decode import decode_image
    from handful_core.vision.prediction import to_dict

    predictions = []
    with open_package(package) as opened:
        model = load_model(opened)
        for file in files:
            try:
                pixels = decode_image(file.read_bytes())
            except OSError as error:
                raise DataError(f"{file} cannot be read ({error.strerror})", "name an image file") from error
            except DataError as error:
                raise DataError(f"{file}: {error.message}", error.hint) from error
            found = model.predict(pixels, options.confidence, options.iou, explain=options.explain)
            prediction = to_dict(found, model.manifest, options.top)
            predictions.append({"file": str(file), "model": model.manifest.name, "version": None, **prediction})
    return predictions


def _show(title: str, task: str, predictions: list[dict[str, Any]], top: int) -> None:
    if task == "detect":
        rows = [(p["file"], "" if p["count"] is None else p["count"], _found(p)) for p in predictions]
        print_table(title, ("file", "count", "found"), rows)
        return
    answers = [(p["file"], _likely(p, top), _set(p), _doubts(p)) for p in predictions]
    print_table(title, ("file", "most likely", "prediction set", "mind"), answers)
    for prediction in predictions:
        if shown := prediction.get("explanation"):
            lines = ("  " + "".join(map(_shade, row)) for row in shown["values"])
            heading = f"{prediction['file']}: where it sees {shown['name']}"
            out.print("\n".join([heading, *lines]), highlight=False, markup=False)


def _found(prediction: dict[str, Any]) -> str:
    return ", ".join(f"{item['name']} {item['confidence']:.2f}" for item in prediction["detections"]) or "nothing"


def _likely(prediction: dict[str, Any], top: int) -> str:
    # A server of an earlier release has no `top`.
    classes = prediction.get("top") or prediction["probabilities"][:top]
    return ", ".join(f"{item['name']} {item['probability']:.2f}" for item in classes)


def _set(prediction: dict[str, Any]) -> str:
    return ", ".join(prediction.get("prediction_set") or ())


def _doubts(prediction: dict[str, Any]) -> str:
    doubts = {"uncertain": "not certain", "out_of_distribution": "unlike the training images"}
    return ", ".join(words for field, words in doubts.items() if prediction.get(field))


def _shade(value: float) -> str:
    """A cell of a map, twice as wide as high is in a terminal."""
    return 2 * _SHADES[min(int(value * len(_SHADES)), len(_SHADES) - 1)]
