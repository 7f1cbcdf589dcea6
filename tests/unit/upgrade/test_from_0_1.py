"""What 0.1 made is read as before: packages, configurations, settings. Its backups: tests/integration/backup."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

import handful
from fakes.packages import COUNTS, SURE, encode, filled, picture, square_box
from fakes.registry import FakeMlflow
from handful_core.errors import ConfigError, PackageError
from handful_core.package import open_package
from handful_trainer.config import load_config
from handful_trainer.config.ineffective import refuse_ineffective
from support.serving_app import make_app, running

_MANIFESTS = ("manifest-1.0", "manifest-1.1")


@pytest.fixture
def made(repository: Path) -> Path:
    """Files made by 0.1; the README there says how."""
    return repository / "tests" / "made_by_0.1"


@pytest.mark.parametrize("manifest", _MANIFESTS)
def test_a_detector_finds_what_it_found(made: Path, manifest: str) -> None:
    model = handful.load(made / "packages" / manifest / "detector")
    assert (model.name, model.task, model.manifest.schema_version) == ("squares", "detect", manifest[-3:])
    assert model.manifest.counts == COUNTS
    answer = model.predict(encode(picture({(2, 3): "5", (5, 6): "2"})))
    assert {(found.name, found.box) for found in answer.detections} == {
        ("5", square_box(2, 3)),
        ("2", square_box(5, 6)),
    }
    assert [detection.confidence for detection in answer.detections] == pytest.approx([SURE, SURE], abs=1e-3)
    assert answer.count == 7
    assert answer.out_of_distribution is None


@pytest.mark.parametrize("manifest", _MANIFESTS)
def test_a_classifier_names_what_it_named(made: Path, manifest: str) -> None:
    model = handful.load(made / "packages" / manifest / "classifier")
    answer = model.predict(encode(filled("3")), explain=True)
    assert (answer.task, answer.name, answer.count) == ("classify", "3", None)
    # It knows nothing of limits and maps: 0.1 had none.
    assert (answer.prediction_set, answer.out_of_distribution, answer.explanation) == (None, None, None)


@pytest.mark.anyio
@pytest.mark.parametrize("manifest", _MANIFESTS)
async def test_it_is_served(made: Path, tmp_path: Path, manifest: str) -> None:
    mlflow = FakeMlflow()
    with open_package(made / "packages" / manifest / "detector") as package:
        mlflow.register(package, "squares", ["champion"])
    image = {"image": encode(picture({(2, 3): "5"}))}
    async with running(make_app(tmp_path, mlflow, probe=True)) as client:
        answer = (await client.post("/predict", params={"model": "squares"}, files=image)).raise_for_status().json()
    assert (answer["count"], answer["version"], answer["detections"][0]["box"]) == (5, 1, list(square_box(2, 3)))


@pytest.mark.parametrize("manifest", _MANIFESTS)
def test_a_damaged_one_is_refused_as_any_other(made: Path, tmp_path: Path, manifest: str) -> None:
    package = shutil.copytree(made / "packages" / manifest / "detector", tmp_path / "package")
    (package / "model.onnx").write_bytes((package / "model.onnx").read_bytes() + b"\0")
    with pytest.raises(PackageError, match=r"model\.onnx"):
        handful.load(package)


@pytest.mark.parametrize("name", ["fingers", "sample"])
def test_a_configuration_means_what_it_meant(made: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Also if it is what --print-config printed: nothing of it is refused."""
    meant = yaml.safe_load((made / "configs" / f"{name}.printed.yaml").read_text(encoding="utf-8"))
    for file in (f"{name}.printed.yaml", f"{name}.yaml"):
        capsys.readouterr()
        config = load_config(made / "configs" / file)
        refuse_ineffective(config)
        assert _other(meant, config.model_dump(mode="json")) == []
    assert capsys.readouterr().err == ""


def test_a_setting_that_does_nothing_was_taken_and_is_refused_now(made: Path, tmp_path: Path) -> None:
    """The one kind of configuration that 0.1 took and 0.2 refuses; docs/howto/upgrade.md says so."""
    file = tmp_path / "fingers.yaml"
    text = (made / "configs" / "fingers.yaml").read_text(encoding="utf-8")
    file.write_text(text.replace("  seed: 0\n", "  seed: 0\n  sample: {images: 24}\n"), encoding="utf-8")
    config = load_config(file)
    with pytest.raises(ConfigError, match=r"dataset\.sample.* does nothing") as refused:
        refuse_ineffective(config)
    assert refused.value.hint == "leave it out"


def test_no_setting_of_the_environment_is_lost(made: Path, repository: Path) -> None:
    """The page is generated from the code: tests/contract/test_reference.py."""
    page = (repository / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")
    names = (made / "settings.txt").read_text(encoding="utf-8").split()
    assert len(names) == 35
    assert [name for name in names if f"`{name}`" not in page] == []


def test_no_variable_of_compose_is_lost(made: Path, repository: Path) -> None:
    now = _variables((repository / ".env.example").read_text(encoding="utf-8"))
    before = _variables((made / "compose.env").read_text(encoding="utf-8"))
    assert len(before) == 32
    assert before - now == set()


def _variables(text: str) -> set[str]:
    lines = (line.lstrip("# ") for line in text.splitlines())
    return {line.partition("=")[0] for line in lines if line.partition("=")[0].isupper() and "=" in line}


def _other(before: Any, now: Any, key: str = "") -> list[str]:
    """The keys that mean something else now; new ones may be added."""
    if isinstance(before, dict):
        return [line for name in before for line in _other(before[name], now.get(name, "gone"), f"{key}.{name}")]
    return [] if before == now else [f"{key}: {before!r} became {now!r}"]
