"""The API keeps what its description promises, whatever a client makes of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from fakes.packages import build_package
from support.live_serving import LiveServing

_CHECKS = [
    not_a_server_error,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
]


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    root = tmp_path_factory.mktemp("description")
    with LiveServing(root / "home", settings={"face_blur": "off"}) as live:
        live.mlflow.register(build_package(root / "one"), aliases=["champion"])
        live.mlflow.register(build_package(root / "two", sharpness=8.0))
        live.wait_until_ready()
        yield schemathesis.openapi.from_url(f"{live.url}/openapi.json")


def test_every_operation_keeps_its_word(described: Any) -> None:
    operations = [found.ok() for found in described.get_all_operations()]
    assert len(operations) > 15
    for operation in operations:
        _check(operation)


def _check(operation: Any) -> None:
    @given(case=operation.as_strategy())
    @settings(max_examples=15, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    def keeps_its_word(case: Any) -> None:
        case.call_and_validate(checks=_CHECKS)

    keeps_its_word()
