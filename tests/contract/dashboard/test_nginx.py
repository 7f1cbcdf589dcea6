"""nginx in front of the dashboard keeps the rules that serving has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from handful_serving.api.security_headers import STRICT_POLICY as CSP_HEADER
from handful_serving.settings import ServingSettings


@pytest.fixture
def template(repository: Path) -> str:
    return (repository / "dashboard" / "nginx" / "default.conf.template").read_text(encoding="utf-8")


def test_its_policy_is_serving_s(template: str) -> None:
    (policy,) = re.findall(r'"(default-src [^"]+)";', template)
    assert policy == CSP_HEADER


def test_its_limit_is_serving_s(repository: Path) -> None:
    default = ServingSettings.model_fields["max_body_bytes"].default
    limit = f"HANDFUL_MAX_BODY_BYTES={default}"
    assert limit in (repository / "dashboard" / "Dockerfile").read_text(encoding="utf-8").split()


def test_no_location_drops_the_headers(template: str) -> None:
    """A location that sets one header of its own loses all of the server's."""
    assert all(line.startswith("    add_header") for line in template.splitlines() if "add_header" in line)
    assert template.count("add_header") == 4
