"""`handful package`."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from handful_core.console import only_results_on_stdout, print_json, print_table, say
from handful_core.errors import ConfigError, DataError, RefusedError, ResourceError
from handful_core.settings import CoreSettings, load
from handful_trainer.cli.packages import opened_package

if TYPE_CHECKING:
    from handful_core.package import Package


_HEADING = ("Beside FP32 in ONNX Runtime", ("", "points lost", "95 % interval", "images", "times as fast", ""))


class Quantized(StrEnum):
    """What a package's graph can be replaced with."""

    INT8 = "int8"


class Precision(StrEnum):
    """What a package can allow beside FP32."""

    INT8 = "int8"
    BF16 = "bf16"
    AUTO = "auto"


def package(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="A new folder, or a ZIP file by its name.")
    ],
    package: Annotated[
        Path | None, typer.Option("--package", metavar="FILE", help="A model package: folder or ZIP file.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", metavar="MODEL", help="models:/NAME@ALIAS or models:/NAME/VERSION.")
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option("--run", metavar="FOLDER", help="A training's folder, whose weights become a package."),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            "-c",
            metavar="FILE",
            help="With --run: how to package them. If not given, as the training's file said.",
        ),
    ] = None,
    precision: Annotated[
        Precision | None,
        typer.Option(
            "--precision",
            help="Let the package be served in this precision, too, if it is proved to lose next to nothing. "
            "auto: in each that is, and is faster here.",
        ),
    ] = None,
    tolerance: Annotated[
        float,
        typer.Option(
            "--tolerance",
            min=0,
            max=100,
            help="With --precision: points of mAP@0.5:0.95 or of macro F1 that may be lost.",
        ),
    ] = 0.5,
    quantize: Annotated[
        Quantized | None, typer.Option("--quantize", help="Make a variant whose only graph has this precision.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            metavar="FOLDER",
            help="With --precision and --quantize: the prepared dataset that calibrates and judges. With --run: the "
            "training's.",
        ),
    ] = None,
    images: Annotated[int, typer.Option(min=1, help="Training images that calibrate INT8.")] = 128,
    golden: Annotated[
        Path | None,
        typer.Option(
            "--golden", metavar="FILE", help="A picture to test the model with, in place of one of the dataset."
        ),
    ] = None,
    seen: Annotated[
        list[Path] | None,
        typer.Option(
            "--seen",
            metavar="FOLDER",
            help="A dataset that the model was trained on and that its list of seen images lacks. Repeat it for each.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Write a model package to a folder or ZIP file.

    With --precision, it may be served in less than FP32. With --quantize, you get an INT8 variant if it is as good and
    faster. With --run, the package is made from a training's weights.
    """
    if output.exists():
        raise ResourceError(f"{output} exists already", "name a new folder or file")
    if quantize is not None and precision is not None:
        raise ConfigError("--precision and --quantize make two different packages", "give one of the two")
    if quantize is None and precision is None and run is None and data is not None:
        raise ConfigError("--data is for --precision, --quantize and --run", "leave it out, or add --precision auto")
    if run is None and config is not None:
        raise ConfigError("--config is for --run", "name the training's folder, too, or leave it out")
    if run is not None and (package or model):
        raise ConfigError("--run makes a package, --package and --model name one", "give one of the three")
    core = load(CoreSettings)
    with (
        only_results_on_stdout(),
        _made(run, config, data, core) if run else opened_package(package, model, core.mlflow_uri) as found,
        _golden(found, golden) as pictured,
        _listing(pictured, seen) as opened,
    ):
        if precision is not None:
            result = _proved(opened, data, output, precision, images, tolerance / 100, core.home)
        elif quantize is not None:
            result = _quantized(opened, data, output, images, core.home)
        else:
            result = _written(opened, output)
    if as_json:
        print_json(result)
    else:
        allowed = "".join(f", {each['precision']} in {each['backend']}" for each in result["precisions"])
        say(f"{output} holds {opened.manifest.name}, {result['precision']}{allowed}")
        say(f"next: handful predict photo.jpg --package {output}, or handful register {output}")


@contextmanager
def _made(run: Path, config: Path | None, data: Path | None, core: CoreSettings) -> Iterator[Package]:
    """A package of a training's weights."""
    from handful_trainer.config import load_config
    from handful_trainer.packaging.run_package import package_run

    settings = load_config(config) if config else None
    with tempfile.TemporaryDirectory(prefix="handful-package-") as folder:
        built = package_run(run, Path(folder), core.home, core.mlflow_uri, config=settings, data=data)
        say(f"package and weights agree: {built.parity}")
        yield built.package


@contextmanager
def _golden(package: Package, picture: Path | None) -> Iterator[Package]:
    """The package, with another golden image where one is given."""
    if picture is None:
        yield package
        return
    from handful_trainer.packaging.golden import with_golden

    if not picture.is_file():
        raise DataError(f"{picture} does not exist", "name an image file with --golden")
    with tempfile.TemporaryDirectory(prefix="handful-package-") as folder:
        yield with_golden(package, picture, Path(folder) / "package")


@contextmanager
def _listing(package: Package, seen: list[Path] | None) -> Iterator[Package]:
    """The package, with a list of seen images that these datasets make complete."""
    if not seen:
        yield package
        return
    from handful_trainer.dataset.prepared import PreparedDataset
    from handful_trainer.packaging.build import with_seen

    datasets = [PreparedDataset.open(path) for path in seen]
    with tempfile.TemporaryDirectory(prefix="handful-package-") as folder:
        yield with_seen(package, datasets, Path(folder) / "package")


def _written(opened: Package, output: Path) -> dict[str, Any]:
    from handful_core.files import copy_folder
    from handful_core.package import zip_package

    if output.suffix == ".zip":
        zip_package(opened, output)
    else:
        copy_folder(opened.root, output)
    manifest = opened.manifest
    allowed = [{"backend": each.backend, "precision": each.precision} for each in manifest.precisions]
    return {"output": str(output), "precision": manifest.precision, "precisions": allowed}


def _proved(
    opened: Package, data: Path | None, output: Path, precision: Precision, images: int, tolerance: float, home: Path
) -> dict[str, Any]:
    """Written with the precisions that are proved; with `auto` that may be none."""
    from handful_trainer.dataset.prepared import PreparedDataset
    from handful_trainer.packaging.precision import FASTER, allow, try_precisions, wanted

    if data is None:
        raise ConfigError("--precision needs --data", "name the prepared dataset that the model was trained on")
    dataset = PreparedDataset.open(data)
    if dataset.task.engine is not None:
        dataset.task.engine.configure(home)
    automatic = precision is Precision.AUTO
    with tempfile.TemporaryDirectory(prefix="handful-package-") as folder:
        copy, trials = try_precisions(
            opened, dataset, Path(folder) / "package", wanted(precision.value), images=images, tolerance=tolerance
        )
        taken = [each for each in trials if each.outcome == "allowed" and not (automatic and each.speed_up < FASTER)]
        print_table(_HEADING[0], _HEADING[1], [trial.row(taken=trial in taken) for trial in trials])
        for trial in trials:
            say(f"{trial.name}: {trial.verdict(taken=trial in taken)}")
        if not taken and not automatic:
            reasons = "; ".join(f"{trial.name}: {trial.reason}" for trial in trials)
            raise RefusedError(f"{precision.value} is not allowed: {reasons}", "keep FP32, or give more test images")
        return {"trials": [trial.as_json() for trial in trials]} | _written(allow(copy, dataset, taken), output)


def _quantized(opened: Package, data: Path | None, output: Path, images: int, home: Path) -> dict[str, Any]:
    from handful_trainer.dataset.prepared import PreparedDataset
    from handful_trainer.tasks import engine_of

    if data is None:
        raise ConfigError("--quantize needs --data", "name the prepared dataset that the model was trained on")
    if opened.manifest.precision != "fp32":
        raise ConfigError(f"this package is {opened.manifest.precision} already", "name an FP32 package")
    dataset = PreparedDataset.open(data)
    engine = engine_of(dataset.task.name)
    engine.configure(home)
    with tempfile.TemporaryDirectory(prefix="handful-package-") as folder:
        variant = engine.quantize(opened, dataset, Path(folder) / "package", images)
        print_table("FP32 and INT8", ("", "FP32", "INT8"), variant.rows())  # On stderr: stdout is for the result.
        if variant.reason:
            raise RefusedError(f"the INT8 variant is not taken: {variant.reason}", "keep FP32")
        return variant.as_json() | _written(variant.package, output)
