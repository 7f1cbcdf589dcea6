"""A small project with the pipeline of this checkout, run by a real DVC."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from commands.pipeline import init_project
from commands.pipeline_remote import remote_environment

STAGES = ["prepare", "train", "package", "evaluate", "register"]
SETTINGS: dict[str, Any] = {
    "task": "classify",
    "model": {"architecture": "test_efficientnet", "pretrained": False},
    "dataset": {
        "source": "folder",
        "path": "data/leaves",
        "name": "leaves",
        "split": {"train": 0.6, "val": 0.2, "test": 0.2},
        "seed": 0,
    },
    "training": {"epochs": 1, "batch": 8, "imgsz": 64, "lr": 0.003, "device": "cpu"},
    "augmentation": {"fliplr": 0.5},
    "package": {"weights": True},
    "mlflow": {"experiment": "leaves", "model_name": "leaves"},
    "gate": {"metric": "macro_f1", "margin": 0.005, "min_images": 3},
}
"""A training of one epoch: each section that dvc.yaml names is there."""


@dataclass
class DvcProject:
    """A git repository with dvc.yaml, a configuration and photos in it."""

    root: Path
    dvc: Path
    handful: Path
    """The folder of the command `handful`."""
    mlflow: str
    more: Mapping[str, str] = field(default_factory=dict)
    """More for the environment."""

    @classmethod
    def make(cls, root: Path, checkout: Path, photos: Path, **where: Any) -> DvcProject:
        """A new one with these photos: a folder for each class."""
        project = cls(root, **where)
        root.mkdir(parents=True)
        for name in ("dvc.yaml", ".dvcignore", ".gitignore"):
            shutil.copy(checkout / name, root / name)
        project.configure(SETTINGS)
        shutil.copytree(photos, project.data)
        project.git("init", "--quiet")
        init_project(project.dvc, root)
        project.commit()
        return project

    @property
    def data(self) -> Path:
        """The photos."""
        return self.root / "data" / "leaves"

    @property
    def config(self) -> Path:
        """The configuration."""
        return self.root / "configs" / "leaves.yaml"

    def configure(self, settings: Mapping[str, Any]) -> None:
        """Write the configuration."""
        self.config.parent.mkdir(exist_ok=True)
        self.config.write_text(yaml.safe_dump(dict(settings), sort_keys=False), encoding="utf-8")

    def set(self, section: str, **values: Any) -> None:
        """Change settings of a section."""
        settings = yaml.safe_load(self.config.read_text(encoding="utf-8"))
        settings[section] |= values
        self.configure(settings)

    def environment(self) -> dict[str, str]:
        """What DVC and the stages run with."""
        path = os.pathsep.join([str(self.handful), os.environ["PATH"]])
        own = {"HANDFUL_HOME": str(self.root / "var"), "HANDFUL_MLFLOW_URI": self.mlflow, "DVC_NO_ANALYTICS": "true"}
        return {**os.environ, **own, **self.more, **remote_environment(self.root), "PATH": path}

    def run(self, *words: str, fails: bool = False) -> str:
        """Run DVC to its end.

        Returns:
            What it and the stages printed.
        """
        done = subprocess.run(
            [self.dvc, *words],
            cwd=self.root,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=900,
        )
        assert bool(done.returncode) == fails, done.stdout
        return done.stdout

    def repro(self, *words: str) -> list[str]:
        """Run what changed.

        Returns:
            The stages that ran.
        """
        lines = self.run("repro", *words).splitlines()
        return [name for name in STAGES if f"Running stage '{name}':" in lines]

    def shown(self, *words: str) -> Any:
        """What DVC prints as JSON."""
        done = subprocess.run(
            [self.dvc, *words, "--json"], cwd=self.root, env=self.environment(), capture_output=True, check=True
        )
        return json.loads(done.stdout)

    def report(self, name: str) -> Any:
        """A JSON file that a stage made."""
        return json.loads((self.root / "var" / "leaves" / name).read_text(encoding="utf-8"))

    def git(self, *words: str) -> None:
        """Run git."""
        person = ["-c", "user.name=tests", "-c", "user.email=tests@example.org"]
        subprocess.run(["git", *person, *words], cwd=self.root, check=True, capture_output=True)

    def commit(self) -> None:
        """Commit all that git does not ignore."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "a step")

    def clone(self, root: Path) -> DvcProject:
        """What a colleague has: git's files alone."""
        subprocess.run(["git", "clone", "--quiet", str(self.root), str(root)], check=True, capture_output=True)
        return DvcProject(root, self.dvc, self.handful, self.mlflow, self.more)
