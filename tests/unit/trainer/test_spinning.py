"""How long the threads of a training wait awake: short, so that it shares the machine, unless the user has said."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("given", "spins"),
    [({}, "10000"), ({"GOMP_SPINCOUNT": "5"}, "5"), ({"OMP_WAIT_POLICY": "passive"}, None)],
)
def test_it_is_said_before_torch_is_loaded(given: dict[str, str], spins: str | None) -> None:
    environment = {
        name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    }
    words = "import sys, handful_trainer, os; print('torch' in sys.modules, os.environ.get('GOMP_SPINCOUNT'))"
    done = subprocess.run(
        [sys.executable, "-c", words], env=environment | given, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", str(spins)]
