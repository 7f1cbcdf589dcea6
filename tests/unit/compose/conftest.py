from __future__ import annotations

from pathlib import Path

import pytest

from fakes.docker import FakeDockerCli


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkout with settings to copy."""
    folder = tmp_path / "handful"
    folder.mkdir()
    (folder / ".env.example").write_text("SECRETS_DIR=./secrets\nHANDFUL_UID=10001\nHANDFUL_GID=10001\n")
    return folder


@pytest.fixture
def engine(root: Path) -> FakeDockerCli:
    """An engine whose stack publishes nothing."""
    stack = {
        "services": {
            "postgres": {"image": "postgres"},
            "serving": {"image": "serving", "build": {}},
            "trainer": {"image": "trainer", "build": {}, "profiles": ["train"]},
            "backup": {
                "image": "backup",
                "build": {},
                "volumes": [
                    {"type": "bind", "source": str(root / "backups")},
                    {"type": "volume", "source": str(root / "x")},
                ],
            },
        },
        "secrets": {"postgres_password": {"file": str(root / "secrets" / "postgres_password")}},
        "volumes": {"postgres-data": {"name": "handful_postgres-data"}},
    }
    return FakeDockerCli(stack, images={"serving", "backup"})
