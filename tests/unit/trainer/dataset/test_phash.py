from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from fakes.exports import encoded, picture, turned
from handful_core.vision.phash import perceptual_hashes
from handful_trainer.dataset.inspection.inspect import inspect_bytes
from handful_trainer.dataset.inspection.phash import near_duplicates


def apart(one: bytes, other: bytes) -> int:
    hashes = [inspect_bytes(content).phash for content in (one, other)]
    assert min(hashes) >= 0
    return (hashes[0] ^ hashes[1]).bit_count()


PHOTO = picture(3, 640, 480)


@pytest.mark.parametrize(
    "copy",
    [
        encoded(PHOTO, quality=30),
        encoded(PHOTO, "PNG"),
        encoded(PHOTO, progressive=True),
        encoded(PHOTO.resize((320, 240))),
        encoded(PHOTO.resize((160, 120))),
        encoded(ImageEnhance.Contrast(PHOTO).enhance(0.8)),
        encoded(PHOTO) + b"behind the end",
    ],
)
def test_copies_are_alike(copy: bytes) -> None:
    assert apart(encoded(PHOTO, quality=90), copy) <= 4


def test_other_pictures_are_not() -> None:
    assert min(apart(encoded(PHOTO), encoded(picture(seed, 640, 480))) for seed in range(4, 30)) > 8


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_turned_photos_are_looked_at_upright(orientation: int) -> None:
    assert apart(turned(5, orientation), encoded(picture(5), quality=95)) <= 4


def test_a_flat_picture_is_like_nothing() -> None:
    assert inspect_bytes(encoded(Image.new("RGB", (640, 480), "grey"))).phash == -1
    assert perceptual_hashes([np.full((40, 50), 7, np.uint8)]) == [-1]


def test_hashes_of_many_are_those_of_each() -> None:
    chance = np.random.default_rng(0)
    greys = [chance.integers(0, 256, shape, np.uint8) for shape in [(60, 80), (40, 50), (60, 80), (32, 32), (60, 80)]]
    greys.insert(1, np.full((60, 80), 7, np.uint8))
    together = perceptual_hashes(greys)
    assert together == [phash for grey in greys for phash in perceptual_hashes([grey])]
    assert len(set(together)) == len(greys)
    assert together[1] == -1
    assert perceptual_hashes([]) == []


@settings(deadline=None)
@given(st.integers(0, 99), st.integers(0, 16), st.integers(2, 40))
def test_no_near_pair_is_missed_and_no_far_one_found(seed: int, distance: int, size: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - the same every time
    hashes = [-1]
    for _ in range(size):
        near = chance.choice([phash for phash in hashes if phash >= 0] or [chance.getrandbits(64)])
        for bit in chance.sample(range(64), chance.randint(0, 2 * distance + 1)):
            near ^= 1 << bit
        hashes.append(near)
    truth = {
        (a, b)
        for a in range(len(hashes))
        for b in range(a)
        if min(hashes[a], hashes[b]) >= 0 and (hashes[a] ^ hashes[b]).bit_count() <= distance
    }
    found = {(max(pair), min(pair)) for pair in near_duplicates(hashes, distance)}
    assert found <= truth
    distinct = {phash: position for position, phash in reversed(list(enumerate(hashes)))}
    assert {(a, b) for a, b in truth if distinct[hashes[a]] == a and distinct[hashes[b]] == b} <= found


def test_thousands_of_the_same_frame_are_no_trouble() -> None:
    assert len(list(near_duplicates([5] * 20_000, 4))) == 19_999
