"""A training in the trainer's container."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import yaml

from fakes.squares import write_squares
from support.stack import Stack
from support.waiting import until

_CONFIG = {
    "model": {"family": "yolo11", "size": "n", "pretrained": False},
    "dataset": {"source": "yolo", "path": "data/squares", "name": "squares"},
    "training": {"epochs": 1, "batch": 4, "imgsz": 64, "workers": 0},
    "augmentation": {"mosaic": 0.0},
    "mlflow": {"experiment": "squares", "model_name": "squares"},
}


@pytest.mark.usefixtures("trainer_image")
def test_a_training_makes_a_champion_that_serving_takes_up(
    stack: Stack, ask: Callable[..., httpx.Response], predict: Callable[..., dict[str, Any]]
) -> None:
    assert ask(model="squares").status_code == 404
    started = stack.container("serving")["State"]["StartedAt"]
    shutil.rmtree(stack.root / "data", ignore_errors=True)
    write_squares(stack.root / "data" / "squares")
    (stack.root / "configs" / "squares.yaml").write_text(yaml.safe_dump(_CONFIG))

    done = stack.run_script("train", "--config", "configs/squares.yaml", "--json", timeout=550)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    outcome = json.loads(done.stdout[done.stdout.index("{") :])
    assert outcome["promoted"], outcome

    until(lambda: ask(model="squares").is_success, "serving answers with the new champion", 30)
    answer = predict(model="squares")
    assert (answer["model"], answer["version"]) == ("squares", outcome["version"])
    assert stack.container("serving")["State"]["StartedAt"] == started


@pytest.mark.usefixtures("trainer_image")
def test_the_trainer_has_what_it_needs_and_no_right_beyond(stack: Stack) -> None:
    code = (
        "import os, pathlib, torch; pathlib.Path('/data/probe').write_text(''); os.remove('/data/probe');"
        "print(os.getuid(), os.statvfs('/dev/shm').f_blocks * os.statvfs('/dev/shm').f_frsize >> 20)\n"
        "try: pathlib.Path('/opt/handful/probe').write_text('')\n"
        "except OSError as error: print(error.strerror)"
    )
    said = stack.compose_output("run", "--rm", "--no-deps", "--no-TTY", "--entrypoint", "python", "trainer", "-c", code)
    assert said.splitlines() == ["10001 1024", "Read-only file system"]


@pytest.mark.usefixtures("trainer_image")
def test_a_question_about_the_settings_starts_nothing(fresh: Stack) -> None:
    done = fresh.run_script("train", "--config", "configs/fingers.yaml", "--print-config")
    assert done.returncode == 0, done.stderr
    assert yaml.safe_load(done.stdout)["dataset"]["name"]
    assert not fresh.containers()
