"""What answers a part of a batch, in a process of its own, on this machine or another one."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from handful_core.batch.rows import Row, answer_row, schema_of, to_parquet
from handful_core.batch.storage import Storage, StoredFile
from handful_core.errors import DataError, HandfulError
from handful_core.package import Package, open_package
from handful_core.runtime.model import VisionModel, load_model
from handful_core.vision.decode import decode_image
from handful_core.vision.prediction import to_dict
from handful_faces import MARGIN, SIZE, STRENGTH, face_blur
from handful_faces.privacy import Detector, FaceBlur


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """How each image is answered.

    Attributes:
        confidence: lowest score that counts; the package's own if None.
        iou: overlap that makes two boxes one; the package's own if None.
        faces: what finds the faces that are blurred before a model sees the image; `off` blurs none.
    """

    confidence: float | None = None
    iou: float | None = None
    faces: Detector = "centerface"


@dataclass(frozen=True, slots=True)
class Part:
    """Images that become one file.

    Attributes:
        number: its place in the batch.
        source: where its images are.
        files: these images.
    """

    number: int
    source: Storage
    files: tuple[StoredFile, ...]

    @property
    def name(self) -> str:
        """The name of its file: the same for the same images, so that one that is answered twice is there once."""
        told = "\n".join(f"{self.source.name_of(f.path)}\t{f.size}\t{f.changed}" for f in self.files)
        return (
            f"part-{self.number:06d}-{hashlib.sha256(told.encode('utf-8', 'surrogateescape')).hexdigest()[:16]}.parquet"
        )


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a part: how many images, how many of them without an answer, and why the first one has none."""

    images: int
    failed: int
    first_error: str = ""


@dataclass(slots=True)
class Worker:
    """Answers parts. It can be sent to another process: the model is loaded where the first part is answered.

    Args:
        package: a package's ZIP file, as bytes: another machine may not see this one's disk.
        output: where the answers go.
        options: how images are answered.
        description: what stands in each file: see `describe`.
        threads: processors that one prediction may use.
    """

    package: bytes
    output: Storage
    options: BatchOptions
    description: dict[str, str]
    threads: int = 1
    _loaded: tuple[VisionModel, FaceBlur] | None = field(default=None, repr=False)

    def __getstate__(self) -> tuple[Any, ...]:
        return self.package, self.output, self.options, self.description, self.threads

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.package, self.output, self.options, self.description, self.threads = state
        self._loaded = None

    def answer(self, part: Part) -> Done:
        """Answer a part and write its file.

        Raises:
            HandfulError: the model cannot be loaded, or the output takes nothing.
        """
        model, blur = self._load()
        rows = [self._row(model, blur, part.source, file) for file in part.files]
        self.output.write(part.name, to_parquet(rows, schema_of(model.manifest.task, self.description)))
        errors = [f"{row['file']}: {row['error']}" for row in rows if row.get("error")]
        return Done(len(rows), len(errors), errors[0] if errors else "")

    def _load(self) -> tuple[VisionModel, FaceBlur]:
        if self._loaded is None:
            blur = face_blur(self.options.faces, size=SIZE, strength=STRENGTH, margin=MARGIN, threads=self.threads)
            with tempfile.TemporaryDirectory(prefix="handful-batch-") as folder:
                path = Path(folder) / "package.zip"
                path.write_bytes(self.package)
                with open_package(path) as package:
                    self._loaded = load_model(package, self.threads), blur
        return self._loaded

    def _row(self, model: VisionModel, blur: FaceBlur, source: Storage, file: StoredFile) -> Row:
        row: Row = {"file": source.name_of(file.path), "bytes": file.size, "changed": file.changed}
        try:
            pixels = decode_image(source.read(file.path))
            row |= {"height": pixels.shape[0], "width": pixels.shape[1], "faces_blurred": blur(pixels)}
            found = model.predict(pixels, self.options.confidence, self.options.iou)
        except HandfulError as error:
            # A store that is away fails for all images alike: it ends the batch, which can be taken up.
            if not isinstance(error, DataError) and type(error) is not HandfulError:
                raise
            return row | {"error": str(error)}
        return row | answer_row(to_dict(found, model.manifest))


def describe(package: Package, options: BatchOptions) -> dict[str, str]:
    """What answers depend on, beside the images: answers of one folder share it."""
    values = {"model": package.manifest.name, "package": package.digest, "task": package.manifest.task}
    return {f"handful.{key}": str(value) for key, value in (values | asdict(options)).items()}


def split(source: Storage, files: Sequence[StoredFile], size: int, first: int) -> list[Part]:
    """Files as parts of at most `size` images, numbered from `first`."""
    return [
        Part(first + number, source, tuple(files[begin : begin + size]))
        for number, begin in enumerate(range(0, len(files), size))
    ]
