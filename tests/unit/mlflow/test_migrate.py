"""The newest revision is the one that Alembic finds."""

from __future__ import annotations

from pathlib import Path

import mlflow
import pytest
from alembic.script import ScriptDirectory

from handful_mlflow import migrate
from handful_mlflow.migrate import newest_revision


def test_it_is_alembic_s_head() -> None:
    scripts = ScriptDirectory(str(Path(mlflow.__file__).parent / "store" / "db_migrations"))
    assert [newest_revision()] == scripts.get_heads()


def test_two_heads_tell_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    versions = tmp_path / "mlflow" / "store" / "db_migrations" / "versions"
    versions.mkdir(parents=True)
    (tmp_path / "mlflow" / "__init__.py").touch()
    (versions / "a.py").write_text('revision = "a"\ndown_revision = None\n')
    monkeypatch.setattr(
        migrate, "find_spec", lambda _: type("Spec", (), {"origin": str(tmp_path / "mlflow" / "__init__.py")})
    )
    assert newest_revision() == "a"
    (versions / "b.py").write_text("revision: str = 'b'\ndown_revision: str = 'a'\n")
    assert newest_revision() == "b"
    (versions / "c.py").write_text('revision = "c"\ndown_revision = "a"\n')
    assert newest_revision() is None


def test_no_mlflow_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrate, "find_spec", lambda _: None)
    assert newest_revision() is None
