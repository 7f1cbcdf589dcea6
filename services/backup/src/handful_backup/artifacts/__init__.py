"""Where artifacts lie: a folder, an object store, or behind the MLflow server."""

from handful_backup.artifacts.places import Places, is_elsewhere
from handful_backup.artifacts.store import Content, Entry, Store

__all__ = ["Content", "Entry", "Places", "Store", "is_elsewhere"]
