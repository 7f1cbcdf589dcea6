"""MLflow's model registry, spoken over REST so that serving stays small (docs/adr/0002)."""

from handful_core.registry.client import PACKAGE_PATH, Registry
from handful_core.registry.records import CHAMPION, PREVIOUS, RegisteredModel, Version, parse_reference

__all__ = ["CHAMPION", "PACKAGE_PATH", "PREVIOUS", "RegisteredModel", "Registry", "Version", "parse_reference"]
