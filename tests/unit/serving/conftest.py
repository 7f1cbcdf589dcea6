from __future__ import annotations

from pathlib import Path

import pytest

from support.serving_house import House


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)
