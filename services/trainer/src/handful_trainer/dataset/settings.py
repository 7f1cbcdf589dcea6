"""What the `dataset` section of a configuration file may say."""

from __future__ import annotations

import codecs
import math
import re
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

SourceName = Literal[
    "picsellia", "picsellia-export", "yolo", "coco", "voc", "folder", "csv", "label-studio", "reviewed", "sample"
]  # fmt: skip
SEVERAL = "several"
"""The source of a configuration that lists its sources."""
SOURCES_GROUP = "handful.dataset_sources"
"""The entry-point group of the sources that other distributions bring: a name and a class as `Source` describes it."""
_NEED_PATH = frozenset({"picsellia-export", "yolo", "coco", "voc", "folder", "csv", "label-studio"})
_WITH_IMAGES = frozenset({"coco", "voc", "csv", "label-studio"})
_DESCRIPTIONS = frozenset({".yaml", ".yml", ".csv", ".tsv"})
"""Suffixes of files that lie in the dataset's folder: its name is the folder's."""
Fraction = Annotated[float, Field(gt=0, lt=1)]
ClassName = Annotated[str, Field(min_length=1, pattern=r"^\S(.*\S)?$")]


class _Section(BaseModel):
    # Class names such as 0 and 5 are numbers to YAML: they are taken as the words they are meant to be.
    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, coerce_numbers_to_str=True, validate_default=True
    )


class SplitConfig(_Section):
    """How images are shared out. Splits that a source lacks are taken from its train."""

    train: Fraction = 0.8
    """Share of the images that the model learns from."""
    val: Fraction = 0.1
    """Share that chooses the best epoch and the thresholds."""
    test: Fraction = 0.1
    """Share that is kept back to measure the finished model."""
    source: Literal["keep", "ignore"] = "keep"
    """What becomes of the source's own splits, such as folders called train and test. keep: an image stays in its own.
    ignore: all images are shared out anew, as for splits that show the same plants or persons in train and in test."""
    keep: str = Field(default="auto", pattern=r"^[^\x00-\x1f]+$")
    """Which earlier split images stay in. auto: the last one of this dataset on this machine, else the champion's, as
    long as proportions, seed and keep_together are the same. none: share out anew. Else a splits.csv, a prepared
    folder, or that of a run or version (runs:/ID, models:/NAME@ALIAS): the same split on any machine."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        total = self.train + self.val + self.test
        if not math.isclose(total, 1, abs_tol=1e-6):
            raise ValueError(f"train, val and test must sum to 1, not to {total:g}")
        return self

    def decisive(self) -> dict[str, Any]:
        """What decides how images are shared out, but for where they were before.

        What was prepared when a source's own splits were always kept is still found.
        """
        usual = {"source"} if self.source == "keep" else set()
        return self.model_dump(mode="json", exclude={"keep"} | usual)


class SampleConfig(_Section):
    """The hands or leaves that the program draws (source: sample or sample-leaves)."""

    images: int = Field(default=360, ge=10, le=100_000)
    """How many images are drawn."""
    size: int = Field(default=224, ge=64, le=1024)
    """Their side in pixels."""


class TogetherConfig(_Section):
    """Which images stay on one side of the split: what is seen in training must not come back in the test.

    Identical images always do.
    """

    near_duplicates: int = Field(default=4, ge=-1, le=16)
    """Images whose perceptual hashes (64 bits) differ in so many bits at most belong together. -1: none do."""
    pattern: str = ""
    """A regular expression for file names: images with the same first group (or match) belong together, such as those
    of one person by ^person-[0-9]+."""
    tags: str = ""
    """How tags begin that name what belongs together, such as session: (for tags session:1, session:2, …)."""

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"it is not a regular expression: {error}") from None
        return value


class PicselliaConfig(_Section):
    """The dataset version that is pulled (source: picsellia). The token is no part of it: see PICSELLIA_TOKEN."""

    dataset: str = ""
    """The dataset's name."""
    version: str = ""
    """The version's name."""
    organisation: str = ""
    """Name or id of the organisation. If not given, PICSELLIA_ORGANISATION, else the one of the token's owner."""
    host: str = ""
    """Address of the platform. If not given, PICSELLIA_HOST, else Picsellia's own."""
    missing: Literal["refuse", "accept"] = "refuse"
    """What happens when the platform lists an asset but has no file for it. Accepted ones count as broken files."""


class CsvConfig(_Section):
    """A table of images and their classes (source: csv). Columns that are not named here are found by usual names."""

    file: str = ""
    """The table, as a path from dataset.path. If not given, the one that lies there."""
    image: str = ""
    """Column of the images' names: with or without folders and suffix. If not given: image, file_name, path, id, …"""
    label: str = ""
    """Column of the classes. If not given: label, class, category, …"""
    split: str = ""
    """Column of train, val or test. If not given: split, set or subset, if there is one."""
    group: str = ""
    """Column of what stays in one split: a plant, a person, a session. If not given: group, patient or subject, if
    there is one."""
    delimiter: Literal["", ",", ";", "\t", "|"] = ""
    """What stands between cells. If not given, found in the first line."""
    encoding: str = ""
    """The text's encoding. If not given, UTF-8 or UTF-16, else Windows-1252 with a warning."""

    @field_validator("encoding")
    @classmethod
    def _exists(cls, value: str) -> str:
        try:
            codecs.lookup(value or "utf-8")
        except LookupError:
            raise ValueError("there is no such encoding: utf-8, cp1252 and latin-1 are usual") from None
        return value


class LabelStudioConfig(_Section):
    """An export of Label Studio (source: label-studio)."""

    control: str = ""
    """The control whose choices are the classes, by its name in the labelling configuration. If not given, the only
    one, or the one that is called choice, label, class, …"""


class SourceConfig(_Section):
    """A place that labelled images come from."""

    source: str
    """picsellia (pulled first), picsellia-export (a folder with assets/, assets.json, annotations.json), yolo, coco,
    voc (Pascal VOC), folder (a folder for each class), csv (a table of images and classes), label-studio, reviewed
    (captured pictures that people reviewed), sample (drawn hands), or sample-leaves (drawn leaves)."""
    path: Path | None = None
    """The source's folder. For yolo also its data.yaml, for coco also one instances file, for csv also the table, for
    label-studio also the export. For picsellia the folder to pull into, or one in HANDFUL_HOME if not given. None for
    sample."""
    picsellia: PicselliaConfig = PicselliaConfig()
    """What is pulled (source picsellia)."""
    images: Path | None = None
    """Folder of the images, for files of coco, voc, csv and label-studio that do not lie beside them."""
    csv: CsvConfig = CsvConfig()
    """The table's columns (source csv)."""
    label_studio: LabelStudioConfig = LabelStudioConfig()
    """What is read of an export (source label-studio)."""
    label_rows: Literal["auto", "boxes", "outlines"] = "auto"
    """What a line of more than five numbers in a YOLO label file is. auto: an outline, or a box with key points where
    data.yaml has a kpt_shape. Refused where it may be either. boxes: a box, and whatever stands behind it is passed
    over. outlines: an outline."""
    model: str = Field(default="", pattern=r"^[^/:%@\s]*$")
    """The model whose captured pictures are read, once a person has accepted or corrected them (source reviewed)."""
    test: bool = False
    """May reviewed pictures be test images too (source reviewed)? They were chosen because the model is unsure of
    them: a test with many of them says little about all others."""

    @field_validator("source")
    @classmethod
    def _known(cls, value: str) -> str:
        names = get_args(SourceName)
        if value == SEVERAL and issubclass(cls, DatasetConfig):
            return value
        if value not in names and value not in entry_points(group=SOURCES_GROUP).names:
            raise ValueError(f"Input should be {', '.join(map(repr, names[:-1]))} or {names[-1]!r}")
        return value

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.source == SEVERAL and (self.path or self.picsellia != PicselliaConfig()):
            raise ValueError("path and picsellia belong to one of the sources: write them there")
        if self.source == "sample" and self.path is not None:
            raise ValueError("the source sample draws its images: leave out path")
        if self.source in _NEED_PATH and self.path is None:
            raise ValueError(f"the source {self.source} needs a path")
        if self.source == "picsellia" and not (self.picsellia.dataset and self.picsellia.version):
            raise ValueError("the source picsellia needs picsellia.dataset and picsellia.version")
        if self.source == "reviewed" and not self.model:
            raise ValueError("the source reviewed needs a model: the one whose pictures were captured")
        self._check_belonging()
        return self

    def _check_belonging(self) -> None:
        """Refuse what belongs to another source."""
        if self.images is not None and self.source not in _WITH_IMAGES:
            raise ValueError("images belongs to the sources coco, voc, csv and label-studio only")
        if self.csv != CsvConfig() and self.source != "csv":
            raise ValueError("csv belongs to the source csv only")
        if self.label_studio != LabelStudioConfig() and self.source != "label-studio":
            raise ValueError("label_studio belongs to the source label-studio only")
        if self.label_rows != "auto" and self.source != "yolo":
            raise ValueError("label_rows belongs to the source yolo only")
        if (self.model or self.test) and self.source != "reviewed":
            raise ValueError("model and test belong to the source reviewed only")

    @property
    def called(self) -> str:
        """A name made from the path, from what it is called in Picsellia, or from the model."""
        if self.source == "picsellia":
            return plain(f"{self.picsellia.dataset}-{self.picsellia.version}")
        if self.source == "reviewed":
            return plain(f"{self.model}-reviewed")
        if self.path is None:
            return "drawn-hands"
        path = self.path.resolve()
        return plain(path.parent.name if path.suffix in _DESCRIPTIONS else path.stem)


class DatasetConfig(SourceConfig):
    """Where the labelled images come from and what is made of them."""

    sources: tuple[SourceConfig, ...] = ()
    """Several places instead of one: each with source, path and whatever else belongs to it. The first gives the
    dataset its name, and its list of classes comes first."""
    name: str = Field(default="", pattern=r"^[\w.-]*$")
    """Name of the prepared dataset. If not given, made from the path."""
    classes: tuple[ClassName, ...] = ()
    """Class names in order. May be left out if the source has a list of its own."""
    counts: dict[str, Annotated[int, Field(ge=0)]] | None = None
    """What a box of each class adds to the image's count. If not given, classes named by a number are worth it."""
    check: Literal["decode", "structure"] = "decode"
    """How closely images are looked at. decode: all are decoded to their end. structure: JPEGs whose segments show that
    they are whole are not, which is several times as fast for large datasets that are trusted: broken-off files are
    found all the same, but neither garbled pixels nor near-duplicates (keep_together.near_duplicates must be -1)."""
    unknown_labels: Literal["refuse", "drop"] = "refuse"
    """What happens when a box has a label that is not one of the classes."""
    polygons: Literal["boxes", "refuse"] = "boxes"
    """What becomes of a polygon: the box around it, or an error that names the assets."""
    split: SplitConfig = SplitConfig()
    """Shares of train, val and test."""
    keep_together: TogetherConfig = TogetherConfig()
    """What stays on one side of the split."""
    seed: int = Field(default=0, ge=0)
    """Seed of the split, and of the drawing."""
    sample: SampleConfig = SampleConfig()
    """Settings of the source sample."""

    @model_validator(mode="before")
    @classmethod
    def _several(cls, value: Any) -> Any:
        """Whoever lists sources need not say that there are several."""
        if isinstance(value, dict) and value.get("sources"):
            if value.get("source", SEVERAL) != SEVERAL:
                raise ValueError("give either source or sources: move the one into the list")
            return {**value, "source": SEVERAL}
        if isinstance(value, dict) and value.get("source") == SEVERAL:
            raise ValueError("sources lists none: write source and path of each there")
        return value

    @field_validator("classes")
    @classmethod
    def _distinct(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if doubled := sorted({name for name in value if value.count(name) > 1}):
            raise ValueError(f"class names must be distinct: {', '.join(doubled)}")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.check == "structure" and self.keep_together.near_duplicates >= 0:
            raise ValueError(
                "check: structure sees no pixels, so near-duplicates cannot be found: "
                "set keep_together.near_duplicates to -1 to go without, or check to decode"
            )
        if self.classes and (unknown := sorted(set(self.counts or {}) - set(self.classes))):
            raise ValueError(f"counts names classes that do not exist: {', '.join(unknown)}")
        return self

    @property
    def title(self) -> str:
        """The prepared dataset's name: as set, else that of its first source."""
        return self.name or (self.sources[0].called if self.sources else self.called)


def plain(name: str) -> str:
    """The name with nothing in it but letters, digits and marks that a folder may have."""
    return "".join(c if c.isalnum() or c in "_.-" else "-" for c in name).lstrip(".") or "dataset"


def class_values(classes: tuple[str, ...], counts: dict[str, int] | None) -> dict[str, int]:
    """What each class counts: as set, else the number that it is named by."""
    if counts is not None:
        return {name: counts[name] for name in classes if name in counts}
    return {name: int(name) for name in classes if name.isascii() and name.isdigit()}
