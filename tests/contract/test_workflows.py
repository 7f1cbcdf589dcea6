"""The workflows for GitHub: linted, pinned, with the least rights, and calling commands that are there."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

FOLDER = Path(__file__).parents[2] / ".github" / "workflows"
FILES = sorted(FOLDER.glob("*.yml"))
_PINNED = re.compile(r"^\s*(?:- )?uses: [\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")


def workflows() -> Iterator[tuple[str, dict[str, Any]]]:
    for file in FILES:
        yield file.name, yaml.safe_load(file.read_text(encoding="utf-8"))


def jobs() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, workflow in workflows():
        for job, content in workflow["jobs"].items():
            yield f"{name} {job}", content


def runs() -> list[tuple[str, str]]:
    """Where a step is, and the words that it runs."""
    return [(where, step["run"]) for where, job in jobs() for step in job["steps"] if "run" in step]


def scripts() -> list[str]:
    """The lines of steps that call a script of this project."""
    lines = {line.strip() for _, text in runs() for line in text.splitlines()}
    return sorted(line for line in lines if re.match(r"(\./|\.\\)?scripts[/\\]", line))


def test_the_workflows_that_the_project_promises_are_there() -> None:
    assert [file.stem for file in FILES] == ["ci", "deploy", "docs", "images", "pipeline"]


@pytest.mark.skipif(
    shutil.which("actionlint") is None, reason="actionlint is not installed: scripts/test.sh builds it with Go"
)
def test_actionlint_finds_nothing() -> None:
    done = subprocess.run(["actionlint", *FILES], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_action_is_pinned_by_commit_and_names_its_version(file: Path) -> None:
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if "uses:" in line]
    assert lines
    assert [line for line in lines if not _PINNED.match(line)] == []


def test_one_commit_stands_for_each_action() -> None:
    uses = set(re.findall(r"uses: (\S+)", "".join(file.read_text(encoding="utf-8") for file in FILES)))
    assert len({use.partition("@")[0] for use in uses}) == len(uses)


def test_workflows_may_only_read_unless_a_job_says_more() -> None:
    for name, workflow in workflows():
        assert workflow["permissions"] == {"contents": "read"}, name
    writing = {where: job["permissions"] for where, job in jobs() if "permissions" in job}
    assert set(writing) == {"images.yml push", "docs.yml publish"}


def test_every_job_ends_and_no_failure_is_hidden() -> None:
    for where, job in jobs():
        assert job["timeout-minutes"] <= 360, where
    for file in FILES:
        text = file.read_text(encoding="utf-8")
        assert "|| true" not in text
        assert "continue-on-error" not in text


def test_what_comes_from_outside_is_no_part_of_a_shell_s_words() -> None:
    assert [where for where, text in runs() if "${{" in text] == []


def test_no_step_leaves_its_token_in_the_checkout() -> None:
    for where, job in jobs():
        for step in job["steps"]:
            if "actions/checkout@" in step.get("uses", ""):
                assert step["with"]["persist-credentials"] is False, where


@pytest.mark.parametrize("line", scripts())
def test_a_script_has_the_options_that_a_step_gives_it(line: str, repository: Path) -> None:
    script, *words = shlex.split(line.partition(" >>")[0].replace("\\", "/"))
    plain = repository / Path(script).with_suffix(".sh")
    assert (repository / script).is_file()
    done = subprocess.run([plain, "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    commands = [word for word in words[:1] if re.fullmatch(r"[a-z]+", word)]
    options = [word for word in words if word.startswith("--") and not commands]
    assert [word for word in (*commands, *options) if not re.search(rf"(^|[\s,[]){word}\b", done.stdout)] == []


@pytest.mark.skipif(shutil.which("docker") is None, reason="there is no docker command")
def test_bake_builds_what_compose_names(repository: Path) -> None:
    matrix = next(job for where, job in jobs() if where == "images.yml check")["strategy"]["matrix"]["image"]
    for image in matrix:
        words = ["docker", "buildx", "bake", "--file", "docker-compose.yml", "--print", image["service"]]
        done = subprocess.run(words, cwd=repository, capture_output=True, text=True, check=True)
        (target,) = json.loads(done.stdout)["target"].values()
        assert [tag.partition(":")[0] for tag in target["tags"]] == [f"handful/{image['name']}"]
        assert (repository / target["context"] / target["dockerfile"]).is_file()


def test_every_image_of_the_stack_is_built(repository: Path) -> None:
    compose = yaml.safe_load((repository / "docker-compose.yml").read_text(encoding="utf-8"))
    built = {name for name, service in compose["services"].items() if "build" in service}
    matrix = next(job for where, job in jobs() if where == "images.yml check")["strategy"]["matrix"]["image"]
    assert {image["service"] for image in matrix} == built


def test_dependabot_looks_at_every_dockerfile(repository: Path) -> None:
    content = yaml.safe_load((repository / ".github" / "dependabot.yml").read_text(encoding="utf-8"))
    docker = next(entry for entry in content["updates"] if entry["package-ecosystem"] == "docker")
    folders = {f"/{file.parent.relative_to(repository)}" for file in repository.glob("*/Dockerfile")}
    folders |= {f"/{file.parent.relative_to(repository)}" for file in repository.glob("services/*/Dockerfile")}
    assert set(docker["directories"]) == folders
