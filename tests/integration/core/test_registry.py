from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from handful_core.registry import Registry
from support.registering import register
from support.registry_suite import RegistrySuite


@dataclass(frozen=True)
class MlflowBackend:
    uri: str

    def connect(self) -> Registry:
        return Registry(self.uri, timeout=60)

    def register(
        self, root: Path | None, name: str, aliases: Iterable[str] = (), tags: Mapping[str, str] | None = None
    ) -> int:
        return register(self.uri, root, name, aliases, tags)


class TestOnMlflow(RegistrySuite):
    @pytest.fixture
    def backend(self, mlflow_server: str) -> MlflowBackend:
        return MlflowBackend(mlflow_server)
