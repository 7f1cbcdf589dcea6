"""Draws the dashboard's sample pictures anew.

From the repository's folder:

    python tests/browser/draw_samples.py [--ask http://127.0.0.1:8000 [--model fingers --model sample]]

With `--ask` those are taken that all the models named, which answer there, see as they are, and surely: visitors try
these first. A server that the quickstart left running has both, the starter model and the sample's.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import httpx

from handful_quickstart.sample import draw_scene

Drawn = tuple[bytes, list[str]]
"""A picture as a file, and its hands' classes."""

_SEED = 23  # Not the one that `handful data sample` draws with: no model has been trained on these.
_SIZE = 192
_QUALITY = 60
_MOST = 4
_TRIED = 400
_SURE = 0.5


def main() -> None:
    """Write four pictures: those with the most hands of twenty, or of all that the models see rightly."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ask", metavar="URL", help="a running server")
    parser.add_argument("--model", metavar="NAME", action="append", help="asked there; its default model if not given")
    given = parser.parse_args()
    drawn = [one for number in range(_TRIED if given.ask else 20) if (one := _drawn(number))[1]]
    models = given.model or [""]
    right = [one for one in drawn if not given.ask or all(_right(given.ask, m, one) for m in models)]
    folder = Path("dashboard/img/samples")
    for place, (data, labels) in enumerate(_various(right), start=1):
        (folder / f"hands-{place}.webp").write_bytes(data)
        print(f"hands-{place}.webp shows {', '.join(labels)}")
    print(f"{len(right)} of {len(drawn)} could be taken")


def _various(pictures: list[Drawn]) -> list[Drawn]:
    """Those with the most hands; of equals one that shows what the others do not."""
    left, taken = list(pictures), list[Drawn]()
    while left and len(taken) < _MOST:
        shown = {label for _, labels in taken for label in labels}
        taken.append(max(left, key=lambda one: (len(one[1]), len(set(one[1]) - shown))))
        left.remove(taken[-1])
    return taken


def _drawn(number: int) -> Drawn:
    """A picture as a file, and its hands."""
    pixels, boxes = draw_scene(_SEED, number, size=_SIZE)
    _, data = cv2.imencode(".webp", pixels, [cv2.IMWRITE_WEBP_QUALITY, _QUALITY])
    return data.tobytes(), sorted(box.label for box in boxes)


def _right(address: str, model: str, picture: Drawn) -> bool:
    """Does the model find these hands, and each of them surely? Another training's model may be less sure."""
    query = {"model": model} if model else {}
    answer = httpx.post(f"{address.rstrip('/')}/api/predict", params=query, files={"image": picture[0]}, timeout=60)
    found = answer.raise_for_status().json()["detections"]
    return sorted(one["name"] for one in found) == picture[1] and all(one["confidence"] > _SURE for one in found)


if __name__ == "__main__":
    main()
