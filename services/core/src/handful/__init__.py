"""Handful for Python programs: ask a server, or run a model right here.

    import handful

    client = handful.Client("http://127.0.0.1:8000")
    client.predict("photo.jpg").count

    model = handful.load("models:/fingers@champion")   # or "package.zip"
    model.predict("photo.jpg").count

An image is a path, a file's bytes, a numpy array or a PIL image. Both answer with an `Answer`. Everything that goes
wrong is a `HandfulError`, whose one line says what is wrong and what to do. See docs/python.md.
"""

from handful.answers import (
    Answer,
    Box,
    ClassProbability,
    Detection,
    Explanation,
    ImageSize,
    ServedModel,
    ServedVersion,
    Thresholds,
)
from handful.client import Client
from handful.model import Model, load
from handful_core import __version__
from handful_core.errors import (
    ConfigError,
    DataError,
    HandfulError,
    NotFoundError,
    PackageError,
    RefusedError,
    ResourceError,
    UnavailableError,
)

__all__ = [
    "Answer",
    "Box",
    "ClassProbability",
    "Client",
    "ConfigError",
    "DataError",
    "Detection",
    "Explanation",
    "HandfulError",
    "ImageSize",
    "Model",
    "NotFoundError",
    "PackageError",
    "RefusedError",
    "ResourceError",
    "ServedModel",
    "ServedVersion",
    "Thresholds",
    "UnavailableError",
    "__version__",
    "load",
]
