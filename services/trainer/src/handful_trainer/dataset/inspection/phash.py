"""Images that look alike: re-encoded, resized, brighter, or the next frame of a video.

The hash is the common DCT hash: the image small and grey, the signs of its 64 lowest frequencies against their median.
Measured on photos of 480 x 360: of copies with lower quality, another size or less contrast 99 in 100 differ in 4 bits
at most, unrelated photos in about 20.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

SIDE = 32
"""Pixels that the shorter side should have at least: with less the hash of a small copy differs more."""
_BITS = 64
_KEPT = 8
_FLATTEST = 1.5
"""Standard deviation of grey values, in the frequencies kept, below which there is nothing to tell images apart by."""
_BATCH = 1 << 20
"""Pixels that are worked on at once: four bytes of memory each."""


def perceptual_hashes(greys: Sequence[NDArray[np.uint8]]) -> list[int]:
    """The hashes of images, of many at once: one by one most of the time would go into calling numpy.

    Args:
        greys: (height, width) each, upright images made small: the less they have, the faster.

    Returns:
        64 bits each; -1 for an image that is too flat to have a hash.
    """
    by_shape: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for position, grey in enumerate(greys):
        by_shape[grey.shape].append(position)
    looks = [-1] * len(greys)
    for (height, width), positions in by_shape.items():
        step = max(1, _BATCH // (height * width))
        for some in (positions[start : start + step] for start in range(0, len(positions), step)):
            for position, look in zip(some, _hashes([greys[place] for place in some]), strict=True):
                looks[position] = look
    return looks


def _hashes(greys: Sequence[NDArray[np.uint8]]) -> list[int]:
    """The hashes of images of one size."""
    pixels = np.array(greys, np.float32)
    _, height, width = pixels.shape
    waves = (_cosines(height) @ pixels @ _cosines(width).T).reshape(-1, _BITS)
    waves[:, 0] = 0
    bits = waves >= np.partition(waves, _BITS // 2)[:, _BITS // 2, None]
    hashes = np.packbits(bits, axis=1).view(">u8")[:, 0].tolist()
    flat = np.einsum("ij,ij->i", waves, waves) < _FLATTEST**2 * height * width
    return [-1 if nothing else look for look, nothing in zip(hashes, flat.tolist(), strict=True)]


@cache
def _cosines(size: int) -> NDArray[np.float32]:
    """(kept, size): the lowest waves of the orthonormal DCT-II."""
    places = (np.arange(size) + 0.5) / size
    waves = np.cos(np.pi * np.arange(_KEPT)[:, None] * places) * np.sqrt(2 / size)
    waves[0] *= np.sqrt(0.5)
    return np.asarray(waves, np.float32)


def upright(small: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Undo an EXIF orientation."""
    if orientation in {5, 6, 7, 8}:
        small = small.T
    if orientation in {3, 4, 7, 8}:
        small = small[::-1]
    if orientation in {2, 3, 6, 7}:
        small = small[:, ::-1]
    return small


def near_duplicates(looks: Sequence[int], distance: int) -> Iterator[tuple[int, int]]:
    """Pairs of images whose hashes differ in at most `distance` bits.

    Hashes are cut into one part more than bits may differ: of such a pair one part is the same. So only images that
    share a part are compared: sorted by it those beside each other, then those two places apart, and so on.

    Args:
        looks: hashes; -1 is like nothing.
        distance: in bits, 0 to 63.

    Yields:
        Positions. A pair may come more than once. Of images with one and the same hash only neighbours come as pairs:
        that is enough to tell who belongs together.
    """
    order: dict[int, list[int]] = {}
    for position, look in enumerate(looks):
        if look >= 0:
            order.setdefault(look, []).append(position)
    for found in order.values():
        yield from pairwise(found)
    firsts = [found[0] for found in order.values()]
    for one, other in _near(np.fromiter(order, np.uint64, len(order)), distance):
        yield firsts[one], firsts[other]


def _near(hashes: NDArray[np.uint64], distance: int) -> Iterator[tuple[int, int]]:
    """Positions of distinct hashes that are near to each other."""
    edges = [_BITS * part // (distance + 1) for part in range(distance + 2)]
    for low, high in pairwise(edges):
        part = (hashes >> np.uint64(low)) & np.uint64((1 << (high - low)) - 1)
        order = np.argsort(part, kind="stable")
        part, ranked = part[order], hashes[order]
        places, step = np.arange(len(order)), 0
        while len(places):
            step += 1
            places = places[places + step < len(order)]
            places = places[part[places] == part[places + step]]
            near = places[np.bitwise_count(ranked[places] ^ ranked[places + step]) <= distance]
            yield from zip(order[near].tolist(), order[near + step].tolist(), strict=True)
