"""`handful predict`: against a package on disk, or a running server."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from handful_core.cli.answers import Answer, Csv, JsonLines, Printer, Tables
from handful_core.cli.pictures import Found, Picture, display, find
from handful_core.console import progress, say
from handful_core.errors import ConfigError, DataError, HandfulError
from handful_core.settings import CoreSettings, load

Asked = Callable[[Picture], tuple[Answer, bytes | None]]
"""From a picture to its answer and, if pictures are saved, a JPEG with the answer drawn in."""
_ATTEMPTS, _LONGEST_PAUSE = 20, 60.0
"""Of a server that is busy, or a key that may ask only so often."""


def predict(
    files: Annotated[
        list[str], typer.Argument(help="Images, videos, folders of them, and patterns such as 'photos/**/*.jpg'.")
    ],
    package: Annotated[
        str | None,
        typer.Option("--package", metavar="FILE", help="A model package: folder, ZIP file or models:/NAME@ALIAS."),
    ] = None,
    server: Annotated[
        str | None, typer.Option("--server", metavar="URL", help="Address of a server. If not given, HANDFUL_SERVER.")
    ] = None,
    model: Annotated[str | None, typer.Option("--model", metavar="NAME", help="Which model of the server.")] = None,
    version: Annotated[int | None, typer.Option("--version", help="Which version of it.")] = None,
    alias: Annotated[str | None, typer.Option("--alias", metavar="NAME", help="Which alias of it.")] = None,
    confidence: Annotated[
        float | None, typer.Option("--confidence", min=0, max=1, help="Lowest score that counts.")
    ] = None,
    iou: Annotated[float | None, typer.Option("--iou", min=0, max=1, help="Overlap that makes two boxes one.")] = None,
    top: Annotated[int, typer.Option("--top", min=1, max=100, help="How many classes of a classifier come first.")] = 5,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show where in the image a classifier sees its class, if it can.")
    ] = False,
    every: Annotated[int, typer.Option("--every", min=1, help="Of a video, only every Nth frame.")] = 1,
    save: Annotated[
        Path | None,
        typer.Option("--save", metavar="FOLDER", help="An empty folder for the pictures with their boxes or classes."),
    ] = None,
    batch: Annotated[
        str | None,
        typer.Option(
            "--batch",
            metavar="FOLDER",
            help="Answer a whole folder or s3://BUCKET/PREFIX into Parquet files in this folder (or s3://), faces "
            "blurred. Continues an unfinished one.",
        ),
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option("--processes", min=1, help="Of a batch: how many at once. By default one a processor."),
    ] = None,
    ray: Annotated[
        str | None, typer.Option("--ray", metavar="ADDRESS", help="Of a batch: run it on this Ray cluster.")
    ] = None,
    face_blur: Annotated[
        Literal["centerface", "haar", "off"],
        typer.Option("--face-blur", help="Of a batch: what finds the faces that are blurred first."),
    ] = "centerface",
    as_json: Annotated[bool, typer.Option("--json", help="Print the answers as JSON, one a line.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the answers as CSV, one object a row.")] = False,
) -> None:
    """Find and count what is in images, or name what they show. A file that cannot be read costs its own answer."""
    elsewhere = {"--server": server, "--model": model, "--version": version, "--alias": alias}
    if batch is not None:
        _refuse(elsewhere | {"--save": save, "--csv": as_csv, "--explain": explain})
        from handful_core.batch.command import predict_batch
        from handful_core.batch.worker import BatchOptions

        wanted = BatchOptions(confidence, iou, face_blur)
        predict_batch(files, package, batch, wanted, processes=processes, ray=ray, as_json=as_json)
        return
    if processes or ray:
        raise ConfigError("--processes and --ray are for a batch", "add --batch FOLDER")
    if package is not None and any(elsewhere.values()):
        raise ConfigError("--package runs here and knows no --server, --model, --version or --alias", "leave one out")
    if as_json and as_csv:
        raise ConfigError("--json and --csv are two formats", "leave one out")
    options = _Options(confidence, iou, top, explain)
    asking = (
        _package(package, options, draw=save is not None)
        if package is not None
        else _server(server, {"model": model, "version": version, "alias": alias}, options, draw=save is not None)
    )
    if save is not None:
        _check_empty(save)
    with asking as asked:
        printer: Printer = JsonLines() if as_json else Csv() if as_csv else Tables(top)
        series = _Series(asked, printer, save, every)
        series.run(find(map(Path, files)))
    if explain and series.answered and not series.explained:
        say("no answer has a map: detectors have none, nor do packages that were made without")
    series.raise_failures()


@dataclass(frozen=True, slots=True)
class _Options:
    confidence: float | None
    iou: float | None
    top: int
    explain: bool


class _Series:
    """Asks about one picture after another. One that fails costs its own answer."""

    def __init__(self, asked: Asked, printer: Printer, save: Path | None, every: int) -> None:
        self._asked, self._printer, self._save, self._every = asked, printer, save, every
        self._names: set[str] = set()
        self._failures: list[HandfulError] = []
        self.answered = 0
        self.explained = False

    def run(self, found: list[Found]) -> None:
        """Ask about all pictures, and print the answers."""
        with progress() as bar:
            for file in bar.track(found, description="predicting"):
                try:
                    for picture in file.pictures(self._every):
                        self._ask(picture)
                except DataError as error:
                    self._fail({"file": display(file.path)}, error)
        self._printer.finish()

    def _ask(self, picture: Picture) -> None:
        place: Answer = {"file": picture.file}
        if picture.frame is not None:
            place |= {"frame": picture.frame, "seconds": picture.seconds}
        try:
            answer, drawn = self._asked(picture)
        except HandfulError as error:
            # A server that is away, or a model that is not there, fails for all pictures alike.
            if not isinstance(error, DataError) and type(error) is not HandfulError:
                raise
            self._fail(place, error)
            return
        self.answered += 1
        self.explained = self.explained or bool(answer.get("explanation"))
        if self._save is not None and drawn is not None:
            place["saved"] = display(self._write(self._save, picture.name, drawn))
        self._printer.add(place | answer)

    def _fail(self, place: Answer, error: HandfulError) -> None:
        if place["file"] not in error.message:
            error.message = f"{place['file']}: {error.message}"
        self._failures.append(error)
        self._printer.add(place | {"error": str(error)})

    def _write(self, folder: Path, name: Path, data: bytes) -> Path:
        """Write a picture under its own name, or a free one like it: a.jpg and a.png, or one name in two folders."""
        free, number = name.with_suffix(".jpg"), 1
        while (taken := free.as_posix().casefold()) in self._names:
            number += 1
            free = name.with_name(f"{name.stem}-{number}.jpg")
        self._names.add(taken)
        path = folder / free
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def raise_failures(self) -> None:
        """Say what failed.

        Raises:
            HandfulError: the only failure, or how many there are.
        """
        if len(self._failures) > 1:
            for error in self._failures:
                say(str(error).replace("[", "\\["))
            raise DataError(f"{len(self._failures)} failed, and {self.answered} have an answer", "see the lines above")
        if self._failures:
            raise self._failures[0]


def _refuse(given: dict[str, object]) -> None:
    """Say which words a batch does not know."""
    if unknown := [word for word, value in given.items() if value]:
        raise ConfigError(f"--batch knows no {' and no '.join(unknown)}", "leave it out")


def _check_empty(folder: Path) -> None:
    """Nothing is written over: the folder could be that of the originals."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder} is not empty", "name a new folder with --save")
    folder.mkdir(parents=True, exist_ok=True)


@contextmanager
def _server(address: str | None, wanted: dict[str, Any], options: _Options, *, draw: bool) -> Iterator[Asked]:
    from handful_core.client import BusyError, ServingClient
    from handful_core.retrying import retrying

    settings = load(CoreSettings)
    key = settings.api_key.get_secret_value() if settings.api_key else None
    flags = {"explain": options.explain, "return_image": draw, "annotate": draw}
    parameters = wanted | asdict(options) | {name: "true" if flag else None for name, flag in flags.items()}
    patiently = retrying(
        lambda error: isinstance(error, BusyError),
        attempts=_ATTEMPTS,
        first_pause=0.5,
        longest_pause=_LONGEST_PAUSE,
        asked_pause=lambda error: float(error.retry_after) if isinstance(error, BusyError) else 0.0,
    )
    with ServingClient(address or settings.server, key=key) as server:

        def ask(picture: Picture) -> tuple[Answer, bytes | None]:
            answer = patiently(server.predict_content, picture.encoded(), picture.file, **parameters)
            drawn = answer.pop("picture", None)
            return answer, base64.b64decode(drawn.partition(",")[2]) if drawn else None

        yield ask


@contextmanager
def _package(source: str, options: _Options, *, draw: bool) -> Iterator[Asked]:
    from handful_core.named_package import open_named_package
    from handful_core.runtime.model import load_model
    from handful_core.vision.drawing import draw as drawing
    from handful_core.vision.prediction import to_dict

    with open_named_package(source, load(CoreSettings).mlflow_uri) as opened:
        model, manifest = load_model(opened), opened.manifest
        # A package does not know under which number it was registered, if it was.
        known = {"model": manifest.name, "version": None, "package": opened.digest, "created": manifest.created}

        def ask(picture: Picture) -> tuple[Answer, bytes | None]:
            pixels = picture.decoded()
            found = model.predict(pixels, options.confidence, options.iou, explain=options.explain)
            drawn = drawing(pixels, found, manifest) if draw else None
            return known | to_dict(found, manifest, options.top), drawn

        yield ask
