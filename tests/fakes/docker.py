"""Docker without Docker: answers as a test says, and keeps what it was calls."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from compose.docker import DockerCli
from compose.errors import ComposeError


@dataclass
class FakeDockerCli(DockerCli):
    """Docker as the tests want it; what it is calls is kept."""

    stack: dict[str, Any]
    running: list[dict[str, Any]] = field(default_factory=list)
    volumes: set[str] = field(default_factory=set)
    images: set[str] = field(default_factory=set)
    folder: Path | None = None
    codes: dict[str, int] = field(default_factory=dict)
    calls: list[tuple[str, ...]] = field(default_factory=list)

    def require(self) -> None:
        pass

    def config(self) -> dict[str, Any]:
        return self.stack

    def compose(self, *argv: str, show: bool = True) -> int:
        self.calls.append(argv)
        return self.codes.get(argv[0], 0)

    def build(self, *services: str) -> None:
        if self.compose("build", *services):
            raise ComposeError("the images could not be built")

    def containers(self) -> list[dict[str, Any]]:
        return self.running

    def last_log_line(self, container: str) -> str:
        return f"{container} said so"

    def has_volume(self, name: str) -> bool:
        return name in self.volumes

    def has_image(self, name: str) -> bool:
        return name in self.images

    def data_folder(self) -> Path | None:
        return self.folder
