"""Draws the dashboard's sample pictures anew.

From the repository's folder: python tests/browser/draw_samples.py [--ask http://127.0.0.1:8000]

With `--ask` only such are taken as the model that answers there sees as they are: visitors try these first.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import httpx

from handful_trainer.data.drawn.scene import draw_scene

_SEED = 23  # Not the one that `handful data sample` draws with: no model has been trained on these.
_SIZE = 192
_QUALITY = 60
_MOST = 4
_TRIED = 200


def main() -> None:
    """Write four pictures: those with the most hands of twenty, or of as many as it takes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ask", metavar="URL", help="a running server, whose champion is asked")
    address = parser.parse_args().ask
    drawn = [_drawn(number) for number in range(_TRIED if address else 20)]
    right = [one for one in drawn if one[1] and (not address or _seen(address, one[0]) == one[1])]
    folder = Path("dashboard/img/samples")
    for place, (data, _) in enumerate(sorted(right, key=lambda one: -len(one[1]))[:_MOST], start=1):
        (folder / f"hands-{place}.webp").write_bytes(data)
    print(f"{len(right)} of {len(drawn)} could be taken")


def _drawn(number: int) -> tuple[bytes, list[str]]:
    """A picture as a file, and its hands."""
    pixels, boxes = draw_scene(_SEED, number, size=_SIZE)
    _, data = cv2.imencode(".webp", pixels, [cv2.IMWRITE_WEBP_QUALITY, _QUALITY])
    return data.tobytes(), sorted(box.label for box in boxes)


def _seen(address: str, data: bytes) -> list[str]:
    answer = httpx.post(f"{address.rstrip('/')}/api/predict", files={"image": data}, timeout=60)
    return sorted(found["name"] for found in answer.raise_for_status().json()["detections"])


if __name__ == "__main__":
    main()
