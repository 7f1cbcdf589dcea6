"""No hand of a real office is taken for a face."""

from __future__ import annotations

from pathlib import Path

from handful_core.vision.decode import decode_image
from handful_faces.centerface import CenterFace

_SHARE = 0.005


def test_hands_are_left_alone(shared_data: Path) -> None:
    finder = CenterFace(320, 1)
    files = sorted((shared_data / "fingers-office-1000" / "assets").glob("*.jpg"))[::4]
    assert len(files) >= 200
    taken = [file.name for file in files if len(finder.find(decode_image(file.read_bytes())))]
    assert len(taken) <= _SHARE * len(files), taken
