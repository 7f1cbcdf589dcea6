"""Where artifacts are stored: a folder, an object store, or behind the MLflow server."""

from handful_backup.artifacts.resolver import StoreResolver, is_missing_folder
from handful_backup.artifacts.stores import ArtifactFile, Content, Store

__all__ = ["ArtifactFile", "Content", "Store", "StoreResolver", "is_missing_folder"]
