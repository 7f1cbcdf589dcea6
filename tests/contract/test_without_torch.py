"""Serving needs neither torch nor ultralytics nor MLflow: it is installed without them, and answers an image."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fakes.packages import build_package, encode, picture

_LIBRARIES = ("torch", "torchvision", "ultralytics", "mlflow", "pandas", "matplotlib", "onnx")
_ABSENT = (*_LIBRARIES, "handful_trainer", "handful_quickstart")

_PROGRAM = """
import importlib.util, json, sys
from pathlib import Path

absent = sys.argv[3].split(",")
there = [name for name in absent if importlib.util.find_spec(name)]
assert not there, f"installed: {there}"

from handful_core.package import open_package
from handful_core.settings import CoreSettings
from handful_core.vision.prediction import to_dict
from handful_core.vision.decode import decode_image
from handful_core.runtime.model import load_model
from handful_serving.app import create_app
from handful_serving.settings import ServingSettings

create_app(ServingSettings(), CoreSettings(home=Path(sys.argv[1]).parent / "home"))
with open_package(Path(sys.argv[1])) as package:
    model = load_model(package)
answer = to_dict(model.predict(decode_image(Path(sys.argv[2]).read_bytes())), model.manifest)
print(json.dumps({"count": answer["count"], "loaded": [name for name in absent if name in sys.modules]}))
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Path:
    """The interpreter of an environment that holds core and serving, and what they ask for."""
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    assert uv, "install uv: it is one of the project's tools"
    folder = tmp_path_factory.mktemp("clean") / "env"
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)], check=True)
    python = next(path for path in (folder / "bin/python", folder / "Scripts/python.exe") if path.exists())
    words = [uv, "pip", "install", "--quiet", "--python", str(python)]
    constraints = repository / "constraints.txt"
    if constraints.exists():
        words += ["--constraints", str(constraints)]
    services = repository / "services"
    words += ["--editable", f"{services / 'core'}[onnx,registry]", "--editable", str(services / "serving")]
    subprocess.run(words, check=True)
    return python


def run(python: Path, *arguments: str) -> str:
    return subprocess.run(
        [str(python), "-W", "error", *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_it_answers_an_image(python: Path, tmp_path: Path) -> None:
    package = build_package(tmp_path / "package")
    (tmp_path / "hand.png").write_bytes(encode(picture({(2, 3): "5"})))
    answer = run(python, "-c", _PROGRAM, str(package.root), str(tmp_path / "hand.png"), ",".join(_ABSENT))
    assert answer == '{"count": 5, "loaded": []}'


def test_the_command_is_there(python: Path) -> None:
    assert "--port" in run(python, "-m", "handful_core", "serve", "--help")
