from __future__ import annotations

from pathlib import Path

import pytest

from fakes.checkout import FakeCheckout, build_checkout


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeCheckout:
    """A small checkout, and a PATH with nothing on it but what the test puts there."""
    built = build_checkout(tmp_path)
    monkeypatch.setenv("PATH", f"{built.path}:/usr/bin:/bin")
    for name in ("UV_TORCH_BACKEND", "UV_DEFAULT_INDEX", "PIP_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    return built
