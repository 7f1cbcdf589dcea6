"""`handful predict`: against a package on disk, or a running server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from handful_core.console import print_json, print_table
from handful_core.errors import ConfigError, DataError
from handful_core.settings import CoreSettings, load

Predictor = Callable[[Path], dict[str, Any]]


def predict(
    files: Annotated[list[Path], typer.Argument(help="Image files.")],
    package: Annotated[Path | None, typer.Option("--package", help="A model package: folder or ZIP file.")] = None,
    server: Annotated[
        str | None, typer.Option("--server", help="Address of a server; HANDFUL_SERVER if not given.")
    ] = None,
    model: Annotated[str | None, typer.Option("--model", help="Which model of the server.")] = None,
    version: Annotated[int | None, typer.Option("--version", help="Which version of it.")] = None,
    alias: Annotated[str | None, typer.Option("--alias", help="Which alias of it.")] = None,
    confidence: Annotated[float | None, typer.Option("--confidence", min=0, max=1, help="Lowest score.")] = None,
    iou: Annotated[float | None, typer.Option("--iou", min=0, max=1, help="Overlap that makes two boxes one.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answers as JSON.")] = False,
) -> None:
    """Find and count what is in images."""
    if package is not None and (server or model or version or alias):
        raise ConfigError("--package runs here and knows no --server, --model, --version or --alias", "leave one out")
    if package is not None:
        predictions = _local(package, files, confidence, iou)
    else:
        settings = load(CoreSettings)
        key = settings.api_key.get_secret_value() if settings.api_key else None
        options = {"model": model, "version": version, "alias": alias, "confidence": confidence, "iou": iou}
        predictions = _remote(server or settings.server, key, files, options)
    if as_json:
        print_json(predictions)
        return
    rows = [(p["file"], "" if p["count"] is None else p["count"], _found(p)) for p in predictions]
    print_table(f"{predictions[0]['model']} version {predictions[0]['version']}", ("file", "count", "found"), rows)


def _remote(address: str, key: str | None, files: list[Path], options: dict[str, Any]) -> list[dict[str, Any]]:
    from handful_core.client import ServingClient

    with ServingClient(address, key=key) as server:
        return [{"file": str(file), **server.predict(file, **options)} for file in files]


def _local(package: Path, files: list[Path], confidence: float | None, iou: float | None) -> list[dict[str, Any]]:
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
            prediction = to_dict(model.predict(pixels, confidence, iou), model.manifest)
            predictions.append({"file": str(file), "model": model.manifest.name, "version": None, **prediction})
    return predictions


def _found(prediction: dict[str, Any]) -> str:
    if prediction.get("probabilities"):
        return ", ".join(f"{item['name']} {item['probability']:.2f}" for item in prediction["probabilities"][:3])
    return ", ".join(f"{item['name']} {item['confidence']:.2f}" for item in prediction["detections"]) or "nothing"
