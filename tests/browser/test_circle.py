"""The whole circle with real servers: an unsure answer is kept, corrected in the browser, trained on, then right."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from playwright.sync_api import Page, expect

from browser.screen import Screen, file
from handful_core.review import ReviewStore
from support.mlflow_server import MlflowServer, free_port
from support.serving_process import ServingProcess
from support.small_leaves import NETWORK, leaf
from support.training import Trainer
from support.waiting import until

pytestmark = pytest.mark.slow
_SECONDS = 900
_NEW = 10
"""Pictures of the new kind that are asked about, and reviewed."""


def lime(seed: int) -> np.ndarray:
    """A kind of leaf that the first version has never seen, between green and yellow: people know that it has rust."""
    noise = np.random.default_rng(seed).normal(0, 30, (40, 48, 3))
    return np.clip(np.float32((40, 210, 110)) + noise, 0, 255).astype(np.uint8)


def encoded(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".png", pixels)[1].tobytes()


@pytest.fixture
def leaves(tmp_path: Path) -> Path:
    """Three plain kinds to learn from; half of the test's leaves with rust are of the new kind."""
    seed = 0
    for split, count in (("train", 24), ("val", 6), ("test", 10)):
        for name in ("green", "rust", "yellow"):
            folder = tmp_path / "leaves" / split / name
            folder.mkdir(parents=True)
            for place in range(count):
                is_new = split == "test" and name == "rust" and place % 2
                (folder / f"{seed}.png").write_bytes(encoded(lime(10_000 + seed) if is_new else leaf(name, seed)))
                seed += 1
    return tmp_path / "leaves"


@pytest.fixture
def mlflow(tmp_path: Path) -> Iterator[MlflowServer]:
    server = MlflowServer(tmp_path / "mlflow").start()
    yield server
    server.stop()


@pytest.fixture
def trainer(tmp_path: Path, leaves: Path, mlflow: MlflowServer) -> Trainer:
    content = {
        "task": "classify",
        "model": {"architecture": NETWORK},
        "dataset": {"source": "folder", "path": str(leaves)},
        "training": {"epochs": 7, "imgsz": 32, "batch": 8, "lr": 0.003, "workers": 0},
        "gate": {"min_images": 3},
    }
    folder = tmp_path / "circle"
    folder.mkdir()
    return Trainer(folder, leaves, mlflow.uri, content, "val/macro_f1")


@pytest.fixture
def monitor(mlflow: MlflowServer, tmp_path: Path) -> Iterator[str]:
    port = free_port()
    words = [sys.executable, "-m", "handful_core", "monitor", "watch", "--port", str(port)]
    settings = {"HANDFUL_HOME": str(tmp_path / "serving" / "home"), "HANDFUL_MLFLOW_URI": mlflow.uri}
    with (tmp_path / "monitor.log").open("wb") as log:
        process = subprocess.Popen(words, env=os.environ | settings, stdout=log, stderr=log)
    yield f"http://127.0.0.1:{port}"
    process.kill()
    process.wait()


def train(trainer: Trainer, *words: str) -> dict[str, Any]:
    return trainer.finish(trainer.start("--config", str(trainer.config), *words), _SECONDS)


def ask(serving: ServingProcess, pixels: np.ndarray) -> dict[str, Any]:
    data = encoded(pixels)
    answer = httpx.post(f"{serving.url}/predict", content=data, headers={"Content-Type": "image/png"}, timeout=60)
    return dict(answer.raise_for_status().json())


def part(page: Page, name: str) -> Any:
    return page.locator(f'[data-part="{name}"]')


def test_a_wrong_answer_becomes_a_training_image_and_then_a_right_one(
    page: Page, trainer: Trainer, mlflow: MlflowServer, monitor: str, dashboard: Path, tmp_path: Path
) -> None:
    first = train(trainer)
    assert first["promoted"] is True
    settings = {
        "HANDFUL_SERVING_CAPTURE": "unsure",
        "HANDFUL_SERVING_CAPTURE_THRESHOLD": "0.02",
        "HANDFUL_SERVING_CAPTURE_SHARE": "0",
        "HANDFUL_SERVING_MONITOR": monitor,
        "HANDFUL_SERVING_DASHBOARD_DIR": str(dashboard),
        "HANDFUL_SERVING_DEFAULT_MODEL": trainer.name,
    }
    serving = ServingProcess(tmp_path / "serving", mlflow.uri, settings).start()
    try:
        walk(page, trainer, mlflow, serving)
    finally:
        serving.stop()


def walk(page: Page, trainer: Trainer, mlflow: MlflowServer, serving: ServingProcess) -> None:
    with ReviewStore.at(mlflow.uri) as store:

        def come() -> int:
            return len(store.pictures(trainer.name))

        screen = Screen.open(page, serving.url)
        expect(part(page, "capture")).to_be_visible()
        screen.choose(file(encoded(lime(1)), "lime.png"))
        screen.expect_view_state("answer")
        wrong = ask(serving, lime(1))
        assert wrong["top"][0]["name"] != "rust", "the first version knows it already"
        seeds = iter(range(2, 2 + 10 * _NEW))
        # Of some the model is sure, as of pictures in life.
        until(
            lambda: ask(serving, lime(next(seeds))) and come() >= _NEW,
            "the pictures did not come to MLflow",
            _SECONDS,
            1,
        )
        spool = serving.root / "home" / "review"
        until(lambda: not list(spool.rglob("*.jpg")), "no picture is on its way", _SECONDS)
        count = come()

        page.locator('[data-to="review"]').click()
        for done in range(count):
            expect(part(page, "review-progress")).to_contain_text(f"{count - done} picture")
            page.locator(".review-class", has_text="rust").click()
            page.keyboard.press("a")
        expect(part(page, "review-says")).to_have_text("All pictures are reviewed.")
        assert {each.annotation.name for each in store.reviews(trainer.name).values()} == {"rust"}

    second = train(trainer, "--add", "reviewed")
    assert second["promoted"] is True, second
    until(lambda: ask(serving, lime(1))["version"] == second["version"], "the new champion is served", _SECONDS)
    assert ask(serving, lime(1))["top"][0]["name"] == "rust"
