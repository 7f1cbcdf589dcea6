"""A model package as an MLflow pyfunc model, so that `mlflow models serve` and `mlflow.pyfunc.load_model` answer too.

MLflow loads this file by itself ("models from code"): it holds nothing but the model.

    model = mlflow.pyfunc.load_model("models:/fingers@champion")
    model.predict({"image": [pathlib.Path("photo.jpg")]})

Input: a table with a column `image`: a DataFrame, or a dict as above. In Python each cell is a `pathlib.Path`, a file's
bytes, a uint8 array of (height, width, 3) with the colours red, green, blue, a PIL image, or base64 text. Over HTTP it
is base64 text alone: text never names a file, or whoever reaches the server could have its files read.

Output: one row per image with `count` (-1 where nothing counts), `detections` and, of a classifier, `probabilities`:
both JSON text as POST /predict answers it.
"""

from __future__ import annotations

import base64
import binascii
import json
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import pandas as pd
from mlflow.models import set_model

from handful_core.errors import DataError
from handful_core.package.archive import read_folder
from handful_core.runtime.model import VisionModel, load_model
from handful_core.vision.decode import Pixels
from handful_core.vision.image_input import to_pixels
from handful_core.vision.prediction import Prediction, to_dict


class PackageModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc,name-defined]  # mlflow ships no types here.
    """Runs the package that was logged as the artifact `package`."""

    def load_context(self, context: Any) -> None:
        """Load the package and check it, golden image included."""
        self._model: VisionModel = load_model(read_folder(Path(context.artifacts["package"])))

    # MLflow asks for the type of `model_input`, and takes those of the others amiss.
    def predict(self, context, model_input: pd.DataFrame, params=None):  # type: ignore[no-untyped-def]  # noqa: ARG002
        """Answer each row's image. `params` may hold `confidence` and `iou`."""
        options = {key: value for key, value in (params or {}).items() if value is not None and value >= 0}
        predictions = [self._model.predict(_pixels(image), **options) for image in _images(model_input)]
        return pd.DataFrame([self._row(prediction) for prediction in predictions])

    def _row(self, prediction: Prediction) -> dict[str, Any]:
        fields = to_dict(prediction, self._model.manifest)
        row = {
            "count": -1 if prediction.count is None else prediction.count,
            "detections": json.dumps(fields["detections"]),
        }
        if "probabilities" in fields:
            row["probabilities"] = json.dumps(fields["probabilities"])
        return row


def _images(table: pd.DataFrame) -> list[Any]:
    """The images of a table. Of `{"image": [text, text]}` MLflow makes a single cell."""
    return [image for cell in table["image"] for image in (cell if isinstance(cell, list) else [cell])]


def _pixels(image: Any) -> Pixels:
    return to_pixels(_bytes(image) if isinstance(image, str) else image)


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise DataError(
            "the column image holds no base64 text", "send an image file as base64, or in Python a pathlib.Path"
        ) from error


set_model(PackageModel())
