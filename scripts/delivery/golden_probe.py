"""Runs in a pod of serving: asks a colour the golden images of the models that it serves, and then many times more.

It is sent there as text, and is no part of the images: whatever version runs there is asked by this one.
"""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

_SCORE_GAP = 0.02
_MIN_IOU = 0.95
"""As the check at loading, and the roundings of an answer in JSON."""
_CLIENTS = 4


def ask_all(address: str, key: str, requests: int) -> dict[str, Any]:
    """Ask for each served model its golden image, then all of them by turns.

    Returns:
        `models` (each `right`, or what is wrong), `requests`, `failed`, `wrong`, `seconds` (median, 95 %), `errors`.
    """
    golden = list(_golden(Path(os.environ.get("HANDFUL_HOME", "/data")) / "cache" / "models"))
    models = {f"{each['model']}/{each['version']}": _problem(each, _ask(address, key, each)) for each in golden}
    turns = [golden[number % len(golden)] for number in range(requests)] if golden else []
    with ThreadPoolExecutor(_CLIENTS) as pool:
        asked = list(pool.map(lambda each: (each, _ask(address, key, each)), turns))
    failed = [answer["error"] for _, answer in asked if "error" in answer]
    wrong = [problem for each, answer in asked if "error" not in answer and (problem := _problem(each, answer))]
    seconds = sorted(answer["seconds"] for _, answer in asked)
    return {
        "models": {name: problem or "right" for name, problem in models.items()},
        "requests": len(asked),
        "failed": len(failed),
        "wrong": len(wrong),
        "seconds": [seconds[len(seconds) // 2], seconds[len(seconds) * 95 // 100]] if seconds else [],
        "errors": sorted(set(failed + wrong))[:5],
    }


def _golden(cache: Path) -> Iterator[dict[str, Any]]:
    """The golden images of the champions that are served here."""
    champions: dict[str, int] = json.loads((cache / "champions.json").read_text(encoding="utf-8"))
    for name, version in champions.items():
        folder = cache / urllib.parse.quote(name, safe=" ").replace(".", "%2E")
        packages = sorted(folder.glob(f"{version}-*/package"), key=lambda path: path.stat().st_mtime)
        manifest = json.loads((packages[-1] / "manifest.json").read_text(encoding="utf-8")) if packages else {}
        expected = manifest.get("golden")
        if expected:
            image = (packages[-1] / expected["image"]).read_bytes()
            yield {"model": name, "version": version, "image": image, "expected": expected}


def _ask(address: str, key: str, golden: dict[str, Any]) -> dict[str, Any]:
    """An answer, or its error, with its seconds. Each has a connection of its own, so that any replica answers."""
    words = {"model": golden["model"], "version": golden["version"], "confidence": golden["expected"]["confidence"]}
    request = urllib.request.Request(  # noqa: S310  # Our own Service.
        f"{address}/predict?{urllib.parse.urlencode(words)}",
        data=golden["image"],
        headers={"Content-Type": "image/png", **({"X-API-Key": key} if key else {})},
    )
    begin = time.monotonic()
    try:
        with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
            answer: dict[str, Any] = json.load(response)
    except urllib.error.HTTPError as error:
        answer = {"error": f"HTTP {error.code} {error.read(300).decode(errors='replace')}"}
    except (OSError, ValueError) as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    return {**answer, "seconds": round(time.monotonic() - begin, 4)}


def _problem(golden: dict[str, Any], answer: dict[str, Any]) -> str:
    """Why an answer is not the expected one; empty if it is."""
    if "error" in answer:
        return str(answer["error"])
    expected = golden["expected"]
    if expected.get("probabilities") is not None:
        named = {each["class"]: each["probability"] for each in answer.get("top", ())}
        gap = max((abs(expected["probabilities"][number] - value) for number, value in named.items()), default=1.0)
        return "" if gap <= _SCORE_GAP else f"{golden['model']}: probabilities differ by {gap:.3f}"
    wanted, found = list(expected["detections"]), list(answer.get("detections", ()))
    surely = expected["confidence"] + _SCORE_GAP
    for each in wanted:
        partner = next((other for other in found if _same(each, other)), None)
        if partner is not None:
            found.remove(partner)
        elif each["confidence"] > surely:
            return f"{golden['model']}: a box of class {each['class_id']} is missing"
    extra = [each for each in found if each["confidence"] > surely]
    return f"{golden['model']}: {len(extra)} boxes too many" if extra else ""


def _same(expected: dict[str, Any], found: dict[str, Any]) -> bool:
    near = abs(expected["confidence"] - found["confidence"]) <= _SCORE_GAP
    return expected["class_id"] == found["class"] and near and _iou(expected["box"], found["box"]) >= _MIN_IOU


def _iou(one: list[float], other: list[float]) -> float:
    """Intersection over union of two boxes (x1, y1, x2, y2)."""
    sides = [min(one[i + 2], other[i + 2]) - max(one[i], other[i]) for i in (0, 1)]
    if min(sides) <= 0:
        return 0.0
    both = sides[0] * sides[1]
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return both / (sum(areas) - both)
