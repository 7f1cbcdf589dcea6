"""What a YOLO folder says of itself: `data.yaml`, Darknet's `obj.data`, or the names of its folders alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from handful_core.folders import is_system_name, walk_files
from handful_trainer.dataset.errors import DamagedFileError, MissingSourceError
from handful_trainer.dataset.sources.base import IMAGE_SUFFIXES, SPLITS, SplitName, split_word
from handful_trainer.yaml_core import YamlError, load_words

CACHE_SUFFIXES = (".cache", ".npy")
"""Suffixes of the files that Ultralytics leaves beside images; they are no part of a dataset."""
_KEYS = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}
_NAME_FILES = ("classes.txt", "obj.names", "_darknet.labels", "*/classes.txt", "*/obj.names", "*/_darknet.labels",
               "*/*/classes.txt")  # fmt: skip
"""Where tools that write no data.yaml list the classes, one a line."""
_NO_SPLITS = frozenset({"path", "names", "nc", "download", "yaml_file"})
_NOTHING = ("", "~", "null", "Null", "NULL", None)
"""What YAML writes for no value."""
_PROBED_LINES = 50
"""Lines of a list that are looked at to find out what its paths are relative to."""


class ListedImage(NamedTuple):
    """A line of a list of images."""

    line: str
    path: Path | None
    """None if it leads nowhere."""

    @property
    def is_image(self) -> bool:
        """Does it lead to a file that is called an image, and was not left by a system?"""
        path = self.path
        return path is not None and path.suffix.lower() in IMAGE_SUFFIXES and not is_system_name(path.name)


@dataclass(frozen=True, slots=True)
class YoloFolder:
    """Classes and splits of a YOLO folder."""

    description: Path
    """data.yaml, obj.data, or the folder itself where there is neither."""
    root: Path
    """Folder that the splits' paths begin at."""
    names: tuple[str, ...]
    splits: dict[SplitName, tuple[Path, ...]]
    """Folders and list files of each split that it names."""
    keypoints: int | None = None
    """Numbers of key points behind each box (kpt_shape), None if it has none."""
    other_splits: tuple[str, ...] = ()
    """Keys that name folders of images too, but are no split's name."""
    others: tuple[Path, ...] = ()
    """Further files that it was read from: a list of names."""
    contradicted: tuple[Path, ...] = ()
    """Lists of names beside the labels that say something else than data.yaml."""

    @property
    def unread_lists(self) -> list[Path]:
        """Files called train.txt, val.txt or test.txt that list images and that no split names."""
        read = {place for places in self.splits.values() for place in places}
        found = (path for paths in _split_lists(self.root).values() for path in paths)
        return [path for path in found if path not in read]

    def images(self, split: SplitName) -> list[Path]:
        """The images of a split, sorted by path; empty if it has none. What systems leave is none of them."""
        return sorted({image for place in self.splits.get(split, ()) for image in self._images(place)})

    def _images(self, place: Path) -> Iterator[Path]:
        if place.is_dir():
            yield from walk_files(place, IMAGE_SUFFIXES).data
        else:
            yield from (listed.path for listed in self.listed(place) if listed.path and listed.is_image)

    def listed(self, file: Path) -> list[ListedImage]:
        """The images that a list file names, line by line.

        Lines are resolved as Ultralytics does, against the list's folder, or against `path`, with slashes or
        backslashes. Where that finds nothing, a beginning that all lines share is left out: CVAT writes data/, others
        the folder of another machine.

        Raises:
            DamagedFileError: it is no text.
        """
        try:
            text = file.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError:
            raise DamagedFileError(f"{file} is not a list of images", "correct what data.yaml says") from None
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        resolve = _ListResolver(dict.fromkeys((file.parent, self.root)), lines)
        return [ListedImage(line, resolve(line)) for line in lines]


class _ListResolver:
    """Finds the files that a list means."""

    def __init__(self, folders: dict[Path, None], lines: Sequence[str]) -> None:
        self._folders = tuple(folders)
        self._skipped = 0
        """Parts at the beginning of each line that mean nothing here."""
        probed = lines[:_PROBED_LINES]
        if not any(map(self, probed)):
            self._skipped = next(filter(None, map(self._superfluous, probed)), 0)

    def __call__(self, line: str) -> Path | None:
        path = Path(*Path(line.replace("\\", "/")).parts[self._skipped :])
        for folder in self._folders:
            if (found := folder / path).is_file():
                return found.absolute()
        return None

    def _superfluous(self, line: str) -> int:
        """How many parts have to be left out for a line to lead somewhere; 0 if none does."""
        parts = Path(line.replace("\\", "/")).parts
        ways = range(1, len(parts))
        return next((n for n in ways if any((folder / Path(*parts[n:])).is_file() for folder in self._folders)), 0)


def open_yolo_folder(path: Path, classes: tuple[str, ...] = ()) -> YoloFolder:
    """Read what a folder says of itself.

    Args:
        path: the folder, or its data.yaml.
        classes: names of the classes, where the folder has none.

    Raises:
        MissingSourceError: it is not there, or a folder that it names is not.
        DamagedFileError: it is no YAML, its names are doubled or lack a number.
    """
    data_yaml = path if path.is_file() else _find(path)
    if data_yaml is None:
        return _undescribed(path, classes)
    content, names_file = _read_darknet(data_yaml) if data_yaml.suffix == ".data" else (_read(data_yaml), None)
    root = _root(data_yaml, content)
    splits = {split: _places(data_yaml, root, content, split) for split in SPLITS}
    others = tuple(_other_splits(root, content))
    if not any(splits.values()):
        named = f"; {' and '.join(others)} are no names of splits" if others else ""
        raise DamagedFileError(f"{data_yaml} names no images{named}", "give it train: and val:")
    present = {split: places for split, places in splits.items() if places}
    names = _names(data_yaml, content) or classes or _no_names(data_yaml)
    read = (names_file,) if names_file else ()
    contradicted = tuple(path for path in _name_files(root) if not _agrees(path, names))
    return YoloFolder(data_yaml, root, names, present, _keypoints(data_yaml, content), others, read, contradicted)


def _find(folder: Path) -> Path | None:
    if not folder.exists():
        raise MissingSourceError(f"{folder} does not exist", "name a YOLO folder or its data.yaml")
    children = [child for child in sorted(folder.iterdir()) if not is_system_name(child.name)]
    candidates = [path for path in children if path.suffix.lower() in {".yaml", ".yml"} and path.is_file()]
    # A ZIP that was unpacked into a folder of its own.
    inner = [path for child in children if child.is_dir() for path in sorted(child.iterdir()) if _is_data_yaml(path)]
    named = [path for path in candidates if _is_data_yaml(path)] or candidates or inner
    if len(named) == 1:
        return named[0]
    if named:
        raise MissingSourceError(f"{folder} has several YAML files", "name the one that describes the dataset")
    return next((path for path in (folder / "obj.data", folder / "data/obj.data") if path.is_file()), None)


def _is_data_yaml(path: Path) -> bool:
    return path.stem.lower() in {"data", "dataset"} and path.suffix.lower() in {".yaml", ".yml"} and path.is_file()


def _read(data_yaml: Path) -> dict[str, Any]:
    try:
        content = load_words(data_yaml.read_text(encoding="utf-8-sig"))
    except (YamlError, UnicodeDecodeError) as error:
        raise DamagedFileError(f"{data_yaml} is not valid YAML ({error})", "correct it") from None
    if not isinstance(content, dict):
        raise DamagedFileError(f"{data_yaml} does not describe a dataset", "it needs names:, train: and val:")
    return content


def _read_darknet(path: Path) -> tuple[dict[str, Any], Path | None]:
    """Darknet's `obj.data`: lines of `key = value`; and the file that `names` names, with a class a line."""
    lines = (line.partition("=") for line in path.read_text(encoding="utf-8-sig", errors="replace").splitlines())
    content: dict[str, Any] = {key.strip(): value.strip() for key, _, value in lines if value.strip()}
    listed = str(content.get("names", ""))
    places = [path.parent / listed, path.parent / listed.removeprefix("data/"), path.parent.parent / listed]
    names = next((place for place in places if place.is_file()), None)
    content["names"] = _lines(names) if names else []
    return content, names


def _names(data_yaml: Path, content: dict[str, Any]) -> tuple[str, ...]:
    """The class names as they are written; empty if there are none."""
    names = content.get("names")
    if isinstance(names, dict):
        names = _numbered(data_yaml, names)
    if not names:
        return ()
    if not isinstance(names, list) or not all(isinstance(name, str) and name.strip() for name in names):
        raise DamagedFileError(f"{data_yaml} has no list of class names", "give it names: numbered from 0")
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        raise DamagedFileError(
            f"{data_yaml} names the class {doubled[0]} {names.count(doubled[0])} times",
            "give each class a name of its own",
        )
    stated = content.get("nc", content.get("classes"))
    if isinstance(stated, str) and stated.isdecimal() and int(stated) != len(names):
        raise DamagedFileError(f"{data_yaml} names {len(names)} classes and says that there are {stated}", "correct it")
    return tuple(names)


def _numbered(data_yaml: Path, names: dict[str, Any]) -> list[Any]:
    """The names in the order of their numbers, which may be quoted.

    Raises:
        DamagedFileError: a number is missing, or is none.
    """
    try:
        by_number = {int(number): name for number, name in names.items()}
    except ValueError:
        raise DamagedFileError(f"{data_yaml} has names with keys that are not numbers", "number them from 0") from None
    missing = next((number for number in range(len(names)) if number not in by_number), None)
    if missing is not None:
        raise DamagedFileError(
            f"{data_yaml} has no list of class names: number {missing} is missing", "give it names: numbered from 0"
        )
    return [by_number[number] for number in range(len(names))]


def _no_names(path: Path) -> tuple[str, ...]:
    raise DamagedFileError(
        f"{path} has no list of class names", "give it names: numbered from 0, or set dataset.classes"
    )


def _keypoints(data_yaml: Path, content: dict[str, Any]) -> int | None:
    shape = content.get("kpt_shape")
    if shape is None:
        return None
    if not (isinstance(shape, list) and len(shape) == 2 and all(str(n).isdecimal() for n in shape)):
        raise DamagedFileError(
            f"{data_yaml} has a kpt_shape that is not a pair of numbers", "write how many points, and 2 or 3: [17, 3]"
        )
    return int(shape[0]) * int(shape[1])


def _root(data_yaml: Path, content: dict[str, Any]) -> Path:
    """`path` of the file, if there is such a folder; else the folder that the file lies in.

    If the file is a link, that is where the link lies, or else where it leads: the one that has what it names.
    """
    parents = dict.fromkeys((data_yaml.parent.resolve(), data_yaml.resolve().parent))
    stated = content.get("path")
    if isinstance(stated, str):
        parents = {(parent / stated).resolve() if (parent / stated).is_dir() else parent: None for parent in parents}
    named = [str(value) for split in SPLITS if (key := _key(content, split)) for value in _listed(content[key])]
    return next((root for root in parents if any(_existing(root, value) for value in named)), next(iter(parents)))


def _places(data_yaml: Path, root: Path, content: dict[str, Any], split: SplitName) -> tuple[Path, ...]:
    key = _key(content, split)
    return tuple(_place(data_yaml, root, str(value)) for value in _listed(content[key])) if key else ()


def _key(content: dict[str, Any], split: SplitName) -> str | None:
    """The key that names a split, None if there is none, or if nothing stands behind it."""
    return next(
        (key for key in _KEYS[split] if any(value not in _NOTHING for value in _listed(content.get(key)))), None
    )


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _place(data_yaml: Path, root: Path, value: str) -> Path:
    if found := _existing(root, value):
        return found.resolve()
    raise MissingSourceError(
        f"{data_yaml} names {value}, which does not exist in {root}", "correct the file or its path:"
    )


def _existing(root: Path, value: str) -> Path | None:
    # Exports of Roboflow write ../train/images and mean train/images, whatever lies beside the dataset. CVAT's lists
    # lie beside obj.data, which names data/train.txt.
    value = value.replace("\\", "/")
    candidates = (root / value.removeprefix("../"), root / value, root / value.removeprefix("data/"))
    return next((candidate for candidate in candidates if candidate.exists()), None)


def _other_splits(root: Path, content: dict[str, Any]) -> Iterator[str]:
    """Keys that lead to images, and are not those of the splits that are used."""
    used = {_key(content, split) for split in SPLITS}
    for key, value in content.items():
        if key not in used and key not in _NO_SPLITS and any(_leads_to_images(root, each) for each in _listed(value)):
            yield key


def _leads_to_images(root: Path, value: Any) -> bool:
    if not isinstance(value, str) or value in _NOTHING:
        return False
    place = _existing(root, value)
    if place is None or place == root:
        return False
    return bool(walk_files(place, IMAGE_SUFFIXES).data) if place.is_dir() else place.suffix == ".txt"


def _undescribed(folder: Path, classes: tuple[str, ...]) -> YoloFolder:
    """A folder without a data.yaml: images by folder, classes from a list of names or from the settings."""
    listed = _list_of_names(folder)
    names = tuple(_lines(listed)) if listed else classes  # The labels count by the folder's own list.
    if not names:
        raise MissingSourceError(
            f"{folder} has no data.yaml, nor a classes.txt",
            "name a YOLO folder or its data.yaml, or set dataset.classes; of whole images, set dataset.source: folder",
        )
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        raise DamagedFileError(f"{listed} names the class {doubled[0]} twice", "give each class a name of its own")
    root = folder.resolve()
    splits = _split_lists(root) or _split_folders(root) or {"train": (root,)}
    return YoloFolder(folder, root, names, splits, others=(listed,) if listed else ())


def _name_files(folder: Path) -> list[Path]:
    return [path for name in _NAME_FILES for path in sorted(folder.glob(name)) if path.is_file()]


def _agrees(path: Path, names: Sequence[str]) -> bool:
    """Whether a list beside data.yaml says the same: LabelImg's may end earlier. One that cannot be read does not."""
    try:
        lines = _lines(path)
    except DamagedFileError:
        return False
    return list(names[: len(lines)]) == lines


def _list_of_names(folder: Path) -> Path | None:
    """The file that lists the classes: of several the longest, if the others begin as it does.

    Raises:
        DamagedFileError: two contradict each other.
    """
    found = sorted(_name_files(folder), key=lambda path: -len(_lines(path)))
    for other in found[1:]:
        if _lines(found[0])[: len(_lines(other))] != _lines(other):
            raise DamagedFileError(
                f"{found[0]} and {other} list other classes, or in another order",
                "remove the wrong one, or write a data.yaml",
            )
    return found[0] if found else None


def _split_lists(root: Path) -> dict[SplitName, tuple[Path, ...]]:
    """Files in a folder that are called like splits, and list images: train.txt, val.txt."""
    found: dict[SplitName, tuple[Path, ...]] = {}
    for path in sorted(root.glob("*.[tT][xX][tT]")):
        if (split := split_word(path.stem)) and path.is_file() and _lists_images(path):
            found[split] = (*found.get(split, ()), path)
    return found


def _lists_images(path: Path) -> bool:
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        first = next((line.strip() for line in file if line.strip()), "")
    return Path(first.replace("\\", "/")).suffix.lower() in IMAGE_SUFFIXES


def _split_folders(root: Path) -> dict[SplitName, tuple[Path, ...]]:
    """Folders named after splits: images/train, train/images or train."""
    found: dict[SplitName, tuple[Path, ...]] = {}
    for above in (_inside(root, "images"), root):
        for folder in sorted(above.iterdir()) if above else ():
            split = split_word(folder.name)
            if split and folder.is_dir():
                found[split] = (*found.get(split, ()), _inside(folder, "images") or folder)
        if found:
            return found
    return found


def _inside(folder: Path, name: str) -> Path | None:
    """The folder of this name in another one, in capitals or not."""
    return next((child for child in sorted(folder.iterdir()) if child.name.lower() == name and child.is_dir()), None)


def _lines(path: Path) -> list[str]:
    """The classes that a file lists, one a line.

    Raises:
        DamagedFileError: it is not UTF-8, or a line between two classes is blank: the numbers would be others.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").rstrip().splitlines()]
    except UnicodeDecodeError:
        raise DamagedFileError(f"{path} is not UTF-8 text", "save it as UTF-8") from None
    if "" in lines:
        raise DamagedFileError(
            f"{path}, line {lines.index('') + 1} is blank: the numbers of the classes behind it are not clear",
            "name the class, or remove the line if no label counts it",
        )
    return lines
