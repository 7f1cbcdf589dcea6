"""dvc.yaml fits the commands and the configuration that it names."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from handful_core.cli.main import build_app
from handful_trainer.config import load_config
from handful_trainer.tasks.classification.settings import ClassificationConfig

_CONFIG = "configs/leaves.yaml"
_STAGES = ["prepare", "train", "package", "evaluate", "register"]


@pytest.fixture(scope="module")
def pipeline(repository: Path) -> Mapping[str, Any]:
    content: Mapping[str, Any] = yaml.safe_load((repository / "dvc.yaml").read_text(encoding="utf-8"))
    return content


def parameters(stage: Mapping[str, Any]) -> list[str]:
    return [name for entry in stage.get("params", ()) for name in entry[_CONFIG]]


def paths(entries: list[Any]) -> list[str]:
    return [next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries]


def test_there_are_five_stages(pipeline: Mapping[str, Any]) -> None:
    assert list(pipeline["stages"]) == _STAGES


@pytest.mark.parametrize("name", _STAGES)
def test_each_is_a_command_with_options_that_there_are(pipeline: Mapping[str, Any], name: str) -> None:
    program, *words = shlex.split(pipeline["stages"][name]["cmd"])
    assert program == "handful"
    command: Any = typer.main.get_command(build_app())
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    command.make_context("handful", words)  # It refuses what it does not know.


def test_what_a_stage_reads_another_made_or_the_user_brings(pipeline: Mapping[str, Any]) -> None:
    made: set[str] = set()
    for name in _STAGES:
        stage = pipeline["stages"][name]
        read = set(paths(stage["deps"]))
        assert read <= made | {"${dataset.path}"}, name
        written = set(paths(stage["outs"]))
        words = shlex.split(stage["cmd"])
        assert {word for word in words if word.startswith("var/")} == (read | written) & set(words), name
        assert written <= set(words), f"{name} is told where to write"
        made |= written
    shown = {
        *pipeline["metrics"],
        *(path for plot in pipeline["plots"] for entry in plot.values() for path in entry["y"]),
    }
    assert all(any(path.startswith(f"{folder}/") for folder in made) for path in shown)


def test_every_section_is_a_parameter_of_some_stage_and_stands_in_the_file(
    pipeline: Mapping[str, Any], repository: Path
) -> None:
    """DVC refuses a parameter that the file does not have; one that no stage names would change nothing."""
    named = {name for stage in pipeline["stages"].values() for name in parameters(stage)}
    sections = {"task", *ClassificationConfig.model_fields}
    assert {name.partition(".")[0] for name in named} == sections
    content = yaml.safe_load((repository / _CONFIG).read_text(encoding="utf-8"))
    for name in named:
        section, _, key = name.partition(".")
        assert section in content, name
        assert not key or key in content[section], name


def test_what_decides_the_weights_trains_again_and_nothing_else_does(pipeline: Mapping[str, Any]) -> None:
    assert set(parameters(pipeline["stages"]["train"])) == {"task", "model", "training", "augmentation"}
    assert set(parameters(pipeline["stages"]["prepare"])) == {"task", "dataset"}
    assert "evaluate" in pipeline["stages"]
    assert parameters(pipeline["stages"]["evaluate"]) == []


def test_the_configuration_has_the_images_where_the_pipeline_looks(repository: Path) -> None:
    config = load_config(repository / _CONFIG)
    assert config.dataset.path is not None, "dvc.yaml names ${dataset.path}"
    assert config.dataset.images is None, "then they would have to be a dependency as well"
