"""Draws the dashboard's sample pictures anew: `python tests/browser/draw_samples.py` from the repository's folder."""

from __future__ import annotations

from pathlib import Path

import cv2

from handful_trainer.data.drawn.scene import draw_scene

_SEED = 23  # Not the one that `handful data sample` draws with: no model has been trained on these.
_SIZE = 192
_QUALITY = 60
_MOST = 4


def main() -> None:
    """Write four pictures, those with the most hands of twenty first."""
    folder = Path("dashboard/img/samples")
    folder.mkdir(exist_ok=True)
    scenes = sorted((draw_scene(_SEED, number, size=_SIZE) for number in range(20)), key=lambda one: -len(one[1]))
    for place, (pixels, _) in enumerate(scenes[:_MOST], start=1):
        cv2.imwrite(str(folder / f"hands-{place}.webp"), pixels, [cv2.IMWRITE_WEBP_QUALITY, _QUALITY])


if __name__ == "__main__":
    main()
