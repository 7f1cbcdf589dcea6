"""Stages of old."""

from __future__ import annotations

from typing import Any

from handful_backup.tables import production_champions


def _version(number: int, stage: str, name: str = "fingers") -> dict[str, Any]:
    return {"workspace": "default", "name": name, "version": number, "current_stage": stage}


def test_the_newest_in_production_becomes_champion() -> None:
    versions = [_version(9, "Production"), _version(10, "Production"), _version(11, "Staging"), _version(2, "None")]
    assert production_champions(versions, []) == {("default", "fingers"): 10}


def test_a_champion_stays_one() -> None:
    alias = {"workspace": "default", "name": "fingers", "alias": "champion", "version": 1}
    other = {**alias, "alias": "previous"}
    assert production_champions([_version(2, "Production")], [alias]) == {}
    assert production_champions([_version(2, "Production")], [other]) == {("default", "fingers"): 2}
