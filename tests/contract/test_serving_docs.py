"""docs/serving.md names every setting with its default, every metric, every route and every problem."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fakes.registry import FakeMlflow
from handful_serving.api.errors import problem_names
from handful_serving.settings import ServingSettings
from support.serving_app import make_app


@pytest.fixture(scope="module")
def page(repository: Path) -> str:
    return (repository / "docs" / "serving.md").read_text(encoding="utf-8")


def test_every_setting_is_there_with_its_default(page: str) -> None:
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| ([^|]*) \|", page, re.MULTILINE))
    fields = ServingSettings.model_fields
    assert set(rows) == {name.upper() for name in fields}
    for name, field in fields.items():
        default = "" if field.default is None or field.default == () else f"`{field.default}`"
        assert rows[name.upper()].strip() == default, name


def test_every_metric_is_there(page: str, tmp_path: Path) -> None:
    app = make_app(tmp_path, FakeMlflow(), prediction_log=True, capture="unsure", capture_unblurred=True)
    families = app.state.serving.metrics.registry.collect()
    metrics = {family.name for family in families if family.name.startswith("handful_")}
    assert set(re.findall(r"`(handful_[a-z_]+)`", page)) == metrics


def test_every_route_and_problem_is_there(page: str, tmp_path: Path) -> None:
    paths = make_app(tmp_path, FakeMlflow()).openapi()["paths"]
    for path in paths:
        if not path.startswith("/v2"):
            assert path.removeprefix("/models/{name}") in page, path
    for name in problem_names():
        assert f"`{name}`" in page, name
