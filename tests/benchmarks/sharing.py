"""What a training loses beside other programs, by how long its threads wait awake for one another.

    python tests/benchmarks/sharing.py [--seconds 6] [--rounds 3] [--json]

Steps of YOLO11n (forward, backward, AdamW, 8 images of 160 px) in processes of their own, in turns: with threads
that spin (OpenMP's default), that sleep at once (`OMP_WAIT_POLICY=passive`), and as `handful train` has them. Once
alone, and once beside a program that keeps every processor busy. The ratios are our step over the
better of the other two. The aim is 1.2 at most, alone and beside others.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

SPINNING, SLEEPING, OURS = "spinning", "sleeping", "handful"
_POLICIES: dict[str, dict[str, str]] = {
    SPINNING: {"GOMP_SPINCOUNT": "300000"},  # What libgomp takes by itself.
    SLEEPING: {"OMP_WAIT_POLICY": "passive"},
    OURS: {},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--spin", action="append", default=[], help="also with this GOMP_SPINCOUNT")
    parser.add_argument("--json", action="store_true")
    words = parser.parse_args()
    result = compare(words.seconds, words.rounds, words.spin)
    if words.json:
        print(json.dumps(result, indent=2))
        return
    for place, steps in result["milliseconds"].items():
        print(f"{place:7} " + "  ".join(f"{policy} {step:.0f} ms" for policy, step in steps.items()))
    print("  ".join(f"{name} {ratio:.2f}" for name, ratio in result["ratios"].items()))


def compare(seconds: float, rounds: int, spins: list[str]) -> dict[str, dict[str, Any]]:
    """Median milliseconds of a step by place and policy, and our ratios."""
    policies = _POLICIES | {f"spin {count}": {"GOMP_SPINCOUNT": count} for count in spins}
    steps: dict[str, dict[str, list[float]]] = {place: {name: [] for name in policies} for place in ("alone", "busy")}
    for _ in range(rounds):
        for place, taken in steps.items():
            for policy, environment in policies.items():
                with _busy(on=place == "busy"):
                    taken[policy].append(_measured(environment, seconds))
    medians = {place: {name: statistics.median(each) for name, each in taken.items()} for place, taken in steps.items()}
    ratios = {
        f"sharing_{place}": taken[OURS] / min(taken[SPINNING], taken[SLEEPING]) for place, taken in medians.items()
    }
    return {"milliseconds": medians, "ratios": ratios}


@contextmanager
def _busy(*, on: bool) -> Iterator[None]:
    """A program on every processor."""
    count = os.cpu_count() or 1 if on else 0
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def _measured(environment: dict[str, str], seconds: float) -> float:
    clean = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    command = [sys.executable, __file__, "--as", str(seconds)]
    done = subprocess.run(command, env=clean | environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return float(done.stdout.splitlines()[-1])


def _steps(seconds: float) -> float:
    """Median milliseconds of a step in this process."""
    import handful_trainer  # noqa: F401, I001 - it says how threads wait, before torch is there
    import torch
    from ultralytics.nn.tasks import DetectionModel

    torch.set_num_threads(os.cpu_count() or 1)
    model = DetectionModel("yolo11n.yaml", nc=7, verbose=False).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(model.parameters())
    images = torch.rand(8, 3, 160, 160).contiguous(memory_format=torch.channels_last)
    taken: list[float] = []
    until = time.perf_counter() + seconds
    while time.perf_counter() < until or len(taken) < 4:
        began = time.perf_counter()
        optimizer.zero_grad()
        found = model(images)
        outputs = found.values() if isinstance(found, dict) else found
        torch.stack([out.square().mean() for out in outputs if torch.is_tensor(out)]).sum().backward()
        optimizer.step()
        taken.append((time.perf_counter() - began) * 1e3)
    return statistics.median(taken[1:])


if __name__ == "__main__":
    if sys.argv[1:2] == ["--as"]:
        print(_steps(float(sys.argv[2])))
    else:
        main()
