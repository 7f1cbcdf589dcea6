"""The search for near-duplicates by perceptual hashes: re-encoded, resized, brighter, or the next frame of a video."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

MIN_SIDE = 32
"""Pixels that the shorter side should have at least: with fewer the hashes of resized copies differ more."""
_BITS = 64


def apply_orientation(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Turn an image upright, as its EXIF orientation says."""
    if orientation in {5, 6, 7, 8}:
        pixels = pixels.T
    if orientation in {3, 4, 7, 8}:
        pixels = pixels[::-1]
    if orientation in {2, 3, 6, 7}:
        pixels = pixels[:, ::-1]
    return pixels


def near_duplicates(hashes: Sequence[int], distance: int) -> Iterator[tuple[int, int]]:
    """Pairs of images whose hashes have a Hamming distance of at most `distance` bits.

    Multi-index hashing (Norouzi, Punjani, Fleet: Fast Search in Hamming Space with Multi-Index Hashing, 2012): hashes
    are cut into `distance` + 1 parts. By the pigeonhole principle two hashes that differ in at most `distance` bits
    have one part in common, so only images that share a part are compared.

    Args:
        hashes: perceptual hashes; -1 has no near-duplicates.
        distance: in bits, 0 to 63.

    Yields:
        Indices. A pair may come more than once. Images with equal hashes come as a chain of neighbours, not as all
        pairs: that is enough to group them.
    """
    indices_by_hash: dict[int, list[int]] = {}
    for index, phash in enumerate(hashes):
        if phash >= 0:
            indices_by_hash.setdefault(phash, []).append(index)
    for indices in indices_by_hash.values():
        yield from pairwise(indices)
    firsts = [indices[0] for indices in indices_by_hash.values()]
    distinct = np.fromiter(indices_by_hash, np.uint64, len(indices_by_hash))
    for one, other in _near_pairs(distinct, distance):
        yield firsts[one], firsts[other]


def resembling(hashes: Sequence[int], known: Sequence[int], distance: int) -> list[bool]:
    """Which images are identical for the eye, or nearly so, to one of another set.

    Each is compared with all of the other set, which is fast where the first is small. Unlike `near_duplicates` it does
    not look for pairs within a set: of the frames of a video there would be very many.

    Args:
        hashes: perceptual hashes; -1 resembles nothing.
        known: those of the other set; -1 for an image that has none.
        distance: in bits, 0 to 63; below 0 nothing resembles anything.
    """
    others = np.array([phash for phash in known if phash >= 0], np.uint64)
    return [bool(phash >= 0 and (np.bitwise_count(others ^ np.uint64(phash)) <= distance).any()) for phash in hashes]


def _near_pairs(hashes: NDArray[np.uint64], distance: int) -> Iterator[tuple[int, int]]:
    """Indices of distinct hashes that are near to each other."""
    edges = [_BITS * part // (distance + 1) for part in range(distance + 2)]
    for low, high in pairwise(edges):
        keys = (hashes >> np.uint64(low)) & np.uint64((1 << (high - low)) - 1)
        order = np.argsort(keys, kind="stable")
        keys, ranked = keys[order], hashes[order]
        # Sorted by the part, hashes that share it lie in one run. All runs at once: compare those one place apart, then
        # two, and so on, until no run is so long.
        places, step = np.arange(len(order)), 0
        while len(places):
            step += 1
            places = places[places + step < len(order)]
            places = places[keys[places] == keys[places + step]]
            near = places[np.bitwise_count(ranked[places] ^ ranked[places + step]) <= distance]
            yield from zip(order[near].tolist(), order[near + step].tolist(), strict=True)
