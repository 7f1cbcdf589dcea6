from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from fakes.picsellia import TOKEN, FakePicsellia


@pytest.fixture
def picsellia(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakePicsellia]:
    """A Picsellia at which nobody waits between two attempts, with the environment that leads to it."""
    monkeypatch.setattr("handful_trainer.dataset.picsellia.retrying._MAX_PAUSE", 0.001)
    monkeypatch.setattr("picsellia.decorators.time", SimpleNamespace(sleep=lambda _: None))
    monkeypatch.setenv("PICSELLIA_TOKEN", TOKEN)
    with FakePicsellia() as fake:
        monkeypatch.setenv("PICSELLIA_HOST", fake.uri)
        yield fake
