from __future__ import annotations

import sys

import pytest

from fakes.checkout import FakeCheckout
from installer.torch import choose_backend

ANSWERS, SILENT = "exit 0", "exit 1"


@pytest.mark.parametrize(
    ("nvidia", "index", "build"),
    [
        (None, ANSWERS, "cpu"),
        ("exit 0", ANSWERS, "auto"),
        ("exit 9", ANSWERS, "cpu"),
        (None, SILENT, ""),
        ("exit 0", SILENT, ""),
    ],
    ids=["no driver", "driver", "broken driver", "no index", "driver, no index"],
)
def test_the_build_that_suits(checkout: FakeCheckout, nvidia: str | None, index: str, build: str) -> None:
    checkout.tool("uv", index)
    if nvidia is not None:
        checkout.on_path("nvidia-smi", nvidia)
    assert choose_backend(checkout.layout) == build


def test_the_index_is_asked_for_the_locked_version(checkout: FakeCheckout) -> None:
    checkout.tool("uv")
    choose_backend(checkout.layout)
    (call,) = checkout.calls
    assert "--dry-run --reinstall --refresh" in call  # An installed torch would answer for an index that is away.
    assert f"--constraints {checkout.layout.constraints} --torch-backend=cpu torch torchvision" in call


def test_falling_back_is_said(checkout: FakeCheckout, capfd: pytest.CaptureFixture[str]) -> None:
    checkout.tool("uv", SILENT)
    choose_backend(checkout.layout)
    assert "its own index does not answer; taking the default index's build" in capfd.readouterr().err


def test_macos_has_one_build(checkout: FakeCheckout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    checkout.tool("uv")
    assert choose_backend(checkout.layout) == ""
    assert checkout.calls == []


def test_the_user_may_choose(checkout: FakeCheckout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_TORCH_BACKEND", "cu130")
    checkout.tool("uv")
    assert choose_backend(checkout.layout) == "cu130"
    assert checkout.calls == []
