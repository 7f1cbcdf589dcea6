"""MLflow's model registry, spoken over REST so that serving stays small (docs/adr/0002)."""

from handful_core.registry.client import PACKAGE_PATH, Registry
from handful_core.registry.records import CHAMPION, PREVIOUS, RegisteredModel, Version, parse_reference
from handful_core.registry.run_list import RunSummary

__all__ = [
    "CHAMPION",
    "PACKAGE_PATH",
    "PREVIOUS",
    "RegisteredModel",
    "Registry",
    "RunSummary",
    "Version",
    "parse_reference",
]
