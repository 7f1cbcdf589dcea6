from __future__ import annotations

from pathlib import Path

import pytest

from support.serving_models import ServingModels


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def serving(tmp_path: Path) -> ServingModels:
    return ServingModels(tmp_path)
