"""What the images hold, and how fast they are built again."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from support.stack import Stack, docker

_MB = 1_000_000
_LOOK = """
import importlib.util, json, shutil
modules = [name for name in ("torch", "ultralytics", "mlflow", "onnxruntime") if importlib.util.find_spec(name)]
print(json.dumps([modules, [name for name in ("cc", "gcc", "g++", "make", "git", "uv") if shutil.which(name)]]))
"""


def _image(name: str) -> dict[str, Any]:
    (found,) = json.loads(docker("image", "inspect", name))
    return dict(found)


def _images(stack: Stack) -> dict[str, str]:
    config = json.loads(stack.compose_output("--profile", "*", "config", "--format", "json"))
    return {name: words["image"] for name, words in config["services"].items()}


@pytest.mark.parametrize(("service", "most"), [("serving", 600), ("mlflow", 900), ("backup", 300)])
def test_size(stack: Stack, service: str, most: int) -> None:
    assert _image(_images(stack)[service])["Size"] <= most * _MB


def test_the_dashboard_is_little_more_than_nginx(stack: Stack) -> None:
    base = _image("nginxinc/nginx-unprivileged:1.28-alpine")
    own = _image(_images(stack)["dashboard"])
    assert own["RootFS"]["Layers"][: len(base["RootFS"]["Layers"])] == base["RootFS"]["Layers"]
    assert own["Size"] - base["Size"] <= 60 * _MB


@pytest.mark.parametrize(
    ("service", "modules"),
    [
        ("serving", ["onnxruntime"]),
        ("mlflow", ["mlflow"]),
        ("backup", []),
    ],
)
def test_an_image_has_its_own_tools_and_no_others(stack: Stack, service: str, modules: list[str]) -> None:
    assert _tools(_images(stack)[service]) == [modules, []]


def test_torch_is_in_the_trainer_s_image(trainer_image: str) -> None:
    assert _tools(trainer_image) == [["torch", "ultralytics", "mlflow", "onnxruntime"], []]


def test_the_trainer_s_image_can_draw_the_sample(trainer_image: str) -> None:
    words = ("data", "sample", "hands", "--images", "10", "--size", "64", "--json")
    said = json.loads(docker("run", "--rm", "--network", "none", "--workdir", "/data", trainer_image, *words))
    assert sum(said["images"].values()) == 10


def _tools(image: str) -> list[list[str]]:
    """The modules and the programs of `_LOOK` that the image has."""
    said = docker("run", "--rm", "--network", "none", "--entrypoint", "python", image, "-c", _LOOK)
    return list(json.loads(said))


@pytest.mark.slow
def test_of_what_a_gpu_needs_only_the_driver_is_missing(fresh: Stack) -> None:
    assert fresh.run_script("up", "--no-start").returncode == 0
    fresh.settings |= {"COMPOSE_FILE": "docker-compose.yml:compose.gpu.yml", "HANDFUL_VERSION": "tried"}
    fresh.compose_output("build", "serving", timeout=1700)
    image = _images(fresh)["serving"]
    look = "ldd $(python -c 'import onnxruntime as o; print(o.__path__[0])')/capi/libonnxruntime_providers_cuda.so"
    libraries = docker("run", "--rm", "--network", "none", "--entrypoint", "sh", image, "-c", look)
    docker("image", "rm", image)
    assert "libcublas" in libraries
    # It comes from the machine's NVIDIA driver, by way of the container toolkit.
    assert {line.split()[0] for line in libraries.splitlines() if "not found" in line} <= {"libcuda.so.1"}


@pytest.mark.parametrize(
    ("service", "file"),
    [
        ("serving", "services/serving/src/handful_serving/__init__.py"),
        ("mlflow", "services/mlflow/src/handful_mlflow/__init__.py"),
        ("dashboard", "dashboard/js/main.js"),
    ],
)
def test_a_change_of_code_builds_the_last_layer_only(stack: Stack, fresh: Stack, service: str, file: str) -> None:
    assert fresh.run_script("up", "--no-start").returncode == 0
    before = _image(_images(stack)[service])["RootFS"]["Layers"]
    # Under a name of its own: the other tests go on with the image that they have.
    fresh.settings["HANDFUL_VERSION"] = "changed"
    mark = "//" if file.endswith(".js") else "#"
    with (fresh.root / file).open("a") as text:
        text.write(f"\n{mark} {time.time_ns()}\n")
    started = time.monotonic()
    fresh.compose_output("build", service)
    seconds = time.monotonic() - started
    name = _images(fresh)[service]
    after = _image(name)["RootFS"]["Layers"]
    docker("image", "rm", name)
    assert [old == new for old, new in zip(before, after, strict=True)].count(False) == 1
    assert seconds < 60
