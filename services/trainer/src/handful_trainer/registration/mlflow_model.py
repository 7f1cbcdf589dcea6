"""Logging a package to MLflow as a pyfunc model, and registering it."""

from __future__ import annotations

import base64
import contextlib
import logging
import warnings
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import handful_core
from handful_core.errors import HandfulError, UnavailableError
from handful_core.package import Manifest, Package
from handful_core.registry import Registry, Version
from handful_trainer.registration.model_card import describe_version
from handful_trainer.tracking.mlflow_calls import is_transient

_REQUIREMENTS = ("numpy", "onnxruntime", "opencv-python-headless", "pillow", "pydantic", "pandas")
"""What the package needs to run under `mlflow models serve`; handful_core itself travels with the model."""


def register_package(uri: str, package: Package, name: str, run_id: str) -> Version:
    """Log a package to a run and make it a version of a registered model.

    Args:
        uri: MLflow's address.
        package: its folder must be called `package`: MLflow keeps the name.
        name: the registered model.
        run_id: the run that it belongs to.

    Raises:
        UnavailableError: MLflow does not answer.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    try:
        with _quiet():
            info = _log(package, run_id)
            registered = mlflow.register_model(info.model_uri, name, tags=version_tags(package))
    except (MlflowException, OSError) as error:
        if is_transient(error):
            raise UnavailableError(
                f"MLflow at {uri} does not answer", "start it; a training goes on with --resume, all else is done again"
            ) from error
        raise HandfulError(f"MLflow did not register the model ({error})") from error
    with Registry(uri) as registry:
        version = registry.version(name, int(registered.version))
    describe_version(mlflow.MlflowClient(uri), package, version, run_id)
    return version


def version_tags(package: Package) -> dict[str, str]:
    """What the registry shows of a version without opening its package."""
    manifest = package.manifest
    numbers = {
        key: value for key, value in manifest.metrics.items() if isinstance(value, float) and key != "confidence"
    }
    return {
        "task": manifest.task,
        "architecture": manifest.architecture,
        "imgsz": f"{manifest.input.width}x{manifest.input.height}",
        "package.digest": package.digest,
        **(
            {"dataset": manifest.dataset.name, "dataset.fingerprint": manifest.dataset.fingerprint}
            if manifest.dataset
            else {}
        ),
        **{f"metrics.{key}": repr(float(value)) for key, value in numbers.items()},
    }


def _log(package: Package, run_id: str) -> Any:
    import mlflow

    code = Path(handful_core.__file__).parent
    with _active(run_id):
        return mlflow.pyfunc.log_model(
            name="model",
            python_model=str(code / "mlflow_model.py"),
            artifacts={"package": str(package.root)},
            code_paths=[str(code)],
            signature=_signature(package.manifest),
            input_example=_example(package),
            pip_requirements=[f"{requirement}=={version(requirement)}" for requirement in _REQUIREMENTS],
            metadata={"handful": {"task": package.manifest.task, "classes": list(package.manifest.classes)}},
        )


@contextlib.contextmanager
def _active(run_id: str) -> Iterator[None]:
    """Make a run MLflow's active one, which it would mark as finished: it stays as whoever began it has marked it."""
    import mlflow

    client = mlflow.MlflowClient()
    before = client.get_run(run_id).info
    try:
        with mlflow.start_run(run_id=run_id):
            yield
    finally:
        if before.end_time:
            client.set_terminated(run_id, before.status, before.end_time)
        else:
            client.update_run(run_id, before.status)


def _signature(manifest: Manifest) -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

    # A negative number stands for "the package's own": MLflow's parameters always have a value.
    parameters = [ParamSpec(name, DataType.double, -1.0) for name in ("confidence", "iou")]
    probabilities = [ColSpec(DataType.string, "probabilities")] if manifest.task == "classify" else []
    return ModelSignature(
        inputs=Schema([ColSpec(DataType.string, "image")]),
        outputs=Schema([ColSpec(DataType.long, "count"), ColSpec(DataType.string, "detections"), *probabilities]),
        params=ParamSchema(parameters),
    )


def _example(package: Package) -> Any:
    import pandas as pd

    image = _example_image(package.manifest, package.root)
    return pd.DataFrame({"image": [base64.b64encode(image).decode()]})


def _example_image(manifest: Manifest, root: Path) -> bytes:
    """The golden image, or a grey one where the package has none."""
    if manifest.golden is not None:
        return (root / manifest.golden.image).read_bytes()
    import cv2
    import numpy as np

    return bytes(cv2.imencode(".png", np.full((64, 64, 3), 127, np.uint8))[1])


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """MLflow warns of what is meant so: packages from a checkout, code that is loaded already."""
    logger = logging.getLogger("mlflow")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
