"""Build the folder that the starter model is trained on: `python models/make_starter_data.py --help`.

It joins datasets that `handful data prepare` wrote, and adds pictures made from their training images: single hands
that fill the picture, cut out on plain grounds or cropped with what is around them, and pieces of the same images that
show no hand. Validation pictures are made from validation images only. The same input and seed give the same files.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""(height, width, 3), blue green red."""
Box = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels."""

_FRAMES = ((100, 100), (100, 100), (128, 128), (160, 120), (200, 200), (240, 180), (180, 240), (320, 240), (320, 320))
"""Width and height of pictures with one hand."""
_SOURCE_SPLITS = {"train": ("train", "test"), "val": ("val",)}
"""The sources' test splits are trained on: the test images come from a dataset of their own."""
_FOR_VALIDATION = 0.15
"""As many pictures as for training, times this, are made for validation."""


@dataclass(frozen=True, slots=True)
class Hand:
    """One labelled hand of an image."""

    image: Path
    box: Box
    class_id: int
    alone: bool
    """No other hand is in its image."""


def read_hands(image: Path, label: Path) -> list[Hand]:
    """The hands of one image in YOLO's layout; none where the label file is empty or missing."""
    lines = label.read_text(encoding="utf-8").split("\n") if label.is_file() else []
    rows = [line.split() for line in lines if line.strip()]
    height, width = read_pixels(image).shape[:2]
    hands = []
    for row in rows:
        x, y, w, h = (float(value) for value in row[1:5])
        left, top, right, bottom = (x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height
        box = (round(left), round(top), round(right), round(bottom))
        hands.append(Hand(image, box, int(row[0]), len(rows) == 1))
    return hands


def read_pixels(path: Path) -> Pixels:
    """An image file.

    Raises:
        SystemExit: it cannot be read.
    """
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if pixels is None:
        raise SystemExit(f"{path} cannot be read: prepare the dataset again")
    return np.asarray(pixels, np.uint8)


def cut_out(pixels: Pixels, box: Box) -> tuple[Pixels, NDArray[np.float32]] | None:
    """A hand without what is around it, by GrabCut (Rother, Kolmogorov and Blake, 2004).

    Returns:
        Its pixels and its opacity (height, width), 0 to 1; None if the outline cannot be the hand's.
    """
    left, top, right, bottom = widened(box, 0.12, pixels)
    piece = np.ascontiguousarray(pixels[top:bottom, left:right])
    mask = np.zeros(piece.shape[:2], np.uint8)
    inside = (box[0] - left, box[1] - top, box[2] - box[0], box[3] - box[1])
    cv2.setRNGSeed(0)
    try:
        cv2.grabCut(piece, mask, inside, np.zeros((1, 65)), np.zeros((1, 65)), 4, cv2.GC_INIT_WITH_RECT)
    except cv2.error:  # Nothing of the piece is outside the box.
        return None
    count, parts, stats, _ = cv2.connectedComponentsWithStats(np.isin(mask, (1, 3)).astype(np.uint8))
    if count < 2:
        return None
    largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    x, y, w, h, area = (int(value) for value in stats[largest])
    fills = area / max(1, inside[2] * inside[3])
    if w * h < 0.88 * inside[2] * inside[3] or not 0.28 < fills < 0.8:
        return None
    opacity = cv2.GaussianBlur((parts == largest).astype(np.float32), (3, 3), 0)
    return np.asarray(piece[y : y + h, x : x + w], np.uint8), opacity[y : y + h, x : x + w]


def widened(box: Box, share: float, pixels: Pixels) -> Box:
    """The box with a margin: this share of its longer side, as far as the image reaches."""
    margin = max(4, round(share * max(box[2] - box[0], box[3] - box[1])))
    height, width = pixels.shape[:2]
    return max(0, box[0] - margin), max(0, box[1] - margin), min(width, box[2] + margin), min(height, box[3] + margin)


def ground(rng: np.random.Generator, width: int, height: int) -> Pixels:
    """A plain ground: one colour, mostly that of a wall, darker to one side or corner, with some noise."""
    wall = rng.random() < 0.7
    saturation = rng.uniform(0, 60) if wall else rng.uniform(40, 255)
    colour = np.array([[[rng.integers(0, 180), saturation, rng.uniform(70, 245)]]], np.uint8)
    flat = np.full((height, width, 3), cv2.cvtColor(colour, cv2.COLOR_HSV2BGR)[0, 0], np.float32)
    angle, fall = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.5)
    y, x = np.mgrid[0:height, 0:width] / max(width, height) - 0.5
    light = 1 + fall * (x * np.cos(angle) + y * np.sin(angle)) - rng.uniform(0, 0.8) * (x**2 + y**2)
    noise = rng.normal(0, rng.uniform(0, 6), flat.shape)
    return np.asarray(np.clip(flat * light[..., None] + noise, 0, 255), np.uint8)


def other_light(rng: np.random.Generator, pixels: Pixels) -> Pixels:
    """The same hand in another light: hue, saturation, brightness and contrast."""
    hsv = cv2.cvtColor(pixels, cv2.COLOR_BGR2HSV).astype(np.float32)
    hsv[..., 0] = (hsv[..., 0] + rng.uniform(-6, 6)) % 180
    hsv[..., 1] *= rng.uniform(0.5, 1.4)
    hsv[..., 2] = 255 * (hsv[..., 2] / 255) ** rng.uniform(0.6, 1.5) * rng.uniform(0.8, 1.2)
    return np.asarray(cv2.cvtColor(np.clip(hsv, 0, 255).astype(np.uint8), cv2.COLOR_HSV2BGR), np.uint8)


def turned(pixels: Pixels, opacity: NDArray[np.float32], degrees: float) -> tuple[Pixels, NDArray[np.float32]]:
    """A cut-out hand, turned, in the smallest rectangle that holds it."""
    height, width = opacity.shape
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
    room = int(np.hypot(width, height)) + 2
    matrix[:, 2] += (room - width) / 2, (room - height) / 2
    pixels = np.asarray(cv2.warpAffine(pixels, matrix, (room, room), borderMode=cv2.BORDER_REPLICATE), np.uint8)
    opacity = np.asarray(cv2.warpAffine(opacity, matrix, (room, room)), np.float32)
    x, y, w, h = cv2.boundingRect((opacity > 0.5).astype(np.uint8))
    return pixels[y : y + h, x : x + w], opacity[y : y + h, x : x + w]


def on_ground(
    rng: np.random.Generator, pixels: Pixels, opacity: NDArray[np.float32], behind: Pixels
) -> tuple[Pixels, Box]:
    """One hand, large, on a ground. In half of the pictures the wrist leaves it at the bottom."""
    height, width = behind.shape[:2]
    fit = min(width / opacity.shape[1], height / opacity.shape[0])
    size = fit * rng.uniform(0.6, 0.98)
    w, h = max(8, round(opacity.shape[1] * size)), max(8, round(opacity.shape[0] * size))
    hand = cv2.resize(pixels, (w, h), interpolation=cv2.INTER_AREA).astype(np.float32)
    alpha = cv2.resize(opacity, (w, h), interpolation=cv2.INTER_AREA)[..., None]
    x = int(rng.integers(0, width - w + 1))
    y = height - h + round(h * rng.uniform(0, 0.08)) if rng.random() < 0.5 else int(rng.integers(0, height - h + 1))
    seen = min(h, height - y)
    result = behind.astype(np.float32)
    part = result[y : y + seen, x : x + w]
    result[y : y + seen, x : x + w] = part + alpha[:seen] * (hand[:seen] - part)
    return np.clip(result, 0, 255).astype(np.uint8), (x, y, x + w, y + seen)


def cropped(rng: np.random.Generator, pixels: Pixels, box: Box) -> tuple[Pixels, Box]:
    """What is around a hand, each side with a margin of its own."""
    height, width = pixels.shape[:2]
    side = max(box[2] - box[0], box[3] - box[1])
    left, top, right, bottom = (int(value) for value in rng.uniform(0.02, 0.5, 4) * side)
    x, y = max(0, box[0] - left), max(0, box[1] - top)
    piece = pixels[y : min(height, box[3] + bottom), x : min(width, box[2] + right)]
    size = min(1.0, rng.uniform(100, 320) / max(piece.shape[:2]))
    made = cv2.resize(piece, None, fx=size, fy=size, interpolation=cv2.INTER_AREA)
    inside = [round(value * size) for value in (box[0] - x, box[1] - y, box[2] - x, box[3] - y)]
    return np.asarray(made, np.uint8), (inside[0], inside[1], inside[2], inside[3])


def empty_piece(pixels: Pixels, boxes: Sequence[Box]) -> Pixels | None:
    """The widest strip of an image, over its full height, that shows no hand; None if it is narrow."""
    edges = [(0, 0), *sorted((box[0], box[2]) for box in boxes), (pixels.shape[1], pixels.shape[1])]
    reach, best = 0, (0, 0)
    for left, right in edges:
        best = max(best, (left - reach, reach))
        reach = max(reach, right)
    width, left = best
    margin = 16  # A box's edge is not the hand's.
    return pixels[:, left + margin : left + width - margin] if width >= 140 + 2 * margin else None


def single_hands(
    rng: np.random.Generator, hands: Sequence[Hand], behind: Sequence[Pixels], count: int
) -> Iterator[tuple[Pixels, list[tuple[int, Box]]]]:
    """So many pictures of one hand, half of them mirrored: three of four are cut out, the others cropped."""
    order = [hands[place] for place in rng.permutation(len(hands))]
    made = 0
    for hand in (order[place % len(order)] for place in range(20 * count)):
        if made == count:
            return
        found = _cut(rng, hand, behind) if made % 4 != 3 else _crop(rng, hand)
        if found is not None:
            made += 1
            picture, box = _mirrored(*found) if rng.random() < 0.5 else found
            yield picture, [(hand.class_id, box)]


def _cut(rng: np.random.Generator, hand: Hand, behind: Sequence[Pixels]) -> tuple[Pixels, Box] | None:
    """A hand on a plain ground, or on what is behind another; None if it cannot be cut out."""
    found = cut_out(read_pixels(hand.image), hand.box)
    if found is None:
        return None
    width, height = _FRAMES[int(rng.integers(len(_FRAMES)))]
    plain = not behind or rng.random() < 0.75
    back = ground(rng, width, height) if plain else _scene(rng, behind, width, height)
    pixels, opacity = turned(other_light(rng, found[0]), found[1], rng.uniform(-15, 15))
    return on_ground(rng, pixels, opacity, back)


def _crop(rng: np.random.Generator, hand: Hand) -> tuple[Pixels, Box] | None:
    """A hand with what is around it; None if another hand may be."""
    return cropped(rng, read_pixels(hand.image), hand.box) if hand.alone else None


def _scene(rng: np.random.Generator, behind: Sequence[Pixels], width: int, height: int) -> Pixels:
    """A piece of what is behind other hands, of this size."""
    whole = behind[int(rng.integers(len(behind)))]
    size = max(width / whole.shape[1], height / whole.shape[0]) * rng.uniform(1, 1.5)
    whole = np.asarray(cv2.resize(whole, None, fx=size, fy=size, interpolation=cv2.INTER_LINEAR), np.uint8)
    x, y = (int(rng.integers(0, max(0, gap) + 1)) for gap in (whole.shape[1] - width, whole.shape[0] - height))
    return np.asarray(cv2.resize(whole[y : y + height, x : x + width], (width, height)), np.uint8)


def _mirrored(picture: Pixels, box: Box) -> tuple[Pixels, Box]:
    width = picture.shape[1]
    return np.ascontiguousarray(picture[:, ::-1]), (width - box[2], box[1], width - box[0], box[3])


class YoloFolder:
    """The folder that is built: `images/SPLIT`, `labels/SPLIT`, `data.yaml`."""

    def __init__(self, root: Path, classes: Sequence[str]) -> None:
        self._root = root
        root.mkdir(parents=True)
        splits = {split: f"images/{split}" for split in ("train", "val", "test")}
        for split in splits:
            (root / "images" / split).mkdir(parents=True)
            (root / "labels" / split).mkdir(parents=True)
        (root / "data.yaml").write_text(yaml.safe_dump(splits | {"names": list(classes)}), encoding="utf-8")

    def copy(self, split: str, name: str, image: Path, label: Path) -> None:
        """Copy an image and its labels.

        Raises:
            SystemExit: two images have one name.
        """
        target = self._root / "images" / split / f"{name}{image.suffix}"
        if target.exists():
            raise SystemExit(f"{image} has the name of another image: give each image of a dataset a name of its own")
        shutil.copyfile(image, target)
        text = label.read_text(encoding="utf-8") if label.is_file() else ""
        (self._root / "labels" / split / f"{name}.txt").write_text(text, encoding="utf-8")

    def write(self, split: str, name: str, picture: Pixels, boxes: Sequence[tuple[int, Box]], quality: int) -> None:
        """Write a made picture as a JPEG."""
        height, width = picture.shape[:2]
        size = np.array([width, height])
        rows = []
        for class_id, (left, top, right, bottom) in boxes:
            middle, extent = (
                np.array([left + right, top + bottom]) / 2 / size,
                np.array([right - left, bottom - top]) / size,
            )
            rows.append(f"{class_id} {middle[0]:.6f} {middle[1]:.6f} {extent[0]:.6f} {extent[1]:.6f}")
        target = self._root / "images" / split / f"{name}.jpg"
        cv2.imwrite(str(target), picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
        (self._root / "labels" / split / f"{name}.txt").write_text("\n".join(rows), encoding="utf-8")


def labelled(dataset: Path, splits: Sequence[str]) -> Iterator[tuple[Path, Path]]:
    """The images of a prepared dataset, each with the path of its labels."""
    for split in splits:
        for image in sorted((dataset / "images" / split).iterdir()):
            yield image, dataset / "labels" / split / f"{image.stem}.txt"


def taken(images: Iterator[tuple[Path, Path]], share: float) -> Iterator[tuple[Path, Path, bool]]:
    """The images, each with whether it is one of this share, which lies evenly among them."""
    for place, (image, label) in enumerate(images):
        yield image, label, int((place + 1) * share) > int(place * share)


def build(sources: Sequence[tuple[Path, float]], test: Path, output: Path, singles: int, empty: int, seed: int) -> None:
    """Write the folder: the sources' images, the pictures made from them, and the test images untouched.

    Args:
        sources: prepared datasets, and how much of each is copied; pictures are made from all of it.
        test: a prepared dataset: all of it becomes the test split.
        output: the folder to write.
        singles: pictures of one hand for training; a part of it more for validation.
        empty: pictures without a hand, likewise.
        seed: of all that is random.
    """
    folder = YoloFolder(output, _classes(sources[0][0]))
    for place, (split, from_splits) in enumerate(_SOURCE_SPLITS.items()):
        rng = np.random.default_rng([seed, place])
        size = 1.0 if split == "train" else _FOR_VALIDATION
        hands: list[Hand] = []
        behind: list[Pixels] = []
        for number, (source, share) in enumerate(sources):
            for image, label, copied in taken(labelled(source, from_splits), share if split == "train" else 1.0):
                if copied:
                    folder.copy(split, f"{number}-{image.stem}", image, label)
                here = read_hands(image, label)
                hands += here
                piece = empty_piece(read_pixels(image), [hand.box for hand in here])
                behind += [] if piece is None else [piece]
        for count, (picture, boxes) in enumerate(single_hands(rng, hands, behind, round(singles * size))):
            folder.write(split, f"single-{count:04}", picture, boxes, int(rng.integers(70, 96)))
        for count, chosen in enumerate(rng.permutation(len(behind))[: round(empty * size)]):
            folder.write(split, f"empty-{count:04}", behind[chosen], [], 90)
    for image, label in labelled(test, ("train", "val", "test")):
        folder.copy("test", f"test-{image.stem}", image, label)


def _classes(dataset: Path) -> list[str]:
    names = yaml.safe_load((dataset / "data.yaml").read_text(encoding="utf-8"))["names"]
    return list(names.values()) if isinstance(names, dict) else list(names)


def main() -> None:
    """Read the command line and build the folder."""
    parser = argparse.ArgumentParser(description="Build the folder that the starter model is trained on.")
    parser.add_argument("sources", nargs="+", type=Path, help="datasets to train on, written by `handful data prepare`")
    parser.add_argument("--share", nargs="+", type=float, help="how much of each to copy, 0 to 1; all if not given")
    parser.add_argument("--test", required=True, type=Path, help="the dataset to test on, prepared likewise")
    parser.add_argument("--output", required=True, type=Path, help="the folder to write; must not exist")
    parser.add_argument("--singles", type=int, default=1200, help="pictures of one hand to make for training")
    parser.add_argument("--empty", type=int, default=60, help="pictures without a hand to make for training")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if given.output.exists():
        parser.error(f"{given.output} exists: name another folder")
    shares = given.share or [1.0] * len(given.sources)
    if len(shares) != len(given.sources):
        parser.error("--share: give one number for each dataset")
    sources = list(zip(given.sources, shares, strict=True))
    build(sources, given.test, given.output, given.singles, given.empty, given.seed)


if __name__ == "__main__":
    main()
