"""Docker without Docker: answers as a test says, and keeps what it was calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from compose.docker import DockerCli, profile_options
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

    def active(self, profiles: Sequence[str] = ()) -> frozenset[str]:
        services = self.stack["services"].items()
        return frozenset(
            name for name, words in services if not words.get("profiles") or {*words["profiles"]} & {*profiles}
        )

    def compose(self, *argv: str, show: bool = True) -> int:
        self.calls.append(argv)
        command = argv[2] if argv[0] == "--profile" else argv[0]
        return self.codes.get(command, 0)

    def build(self, *services: str, profiles: Sequence[str] = ()) -> None:
        if self.compose(*profile_options(profiles), "build", *services):
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
