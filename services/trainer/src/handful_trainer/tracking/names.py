"""Names of parameters and metrics, as MLflow takes them."""

from __future__ import annotations


def mlflow_name(name: str) -> str:
    """The name of a parameter or metric, or a part of one, without what MLflow refuses: class names may hold anything.

    Letters, digits and some marks are allowed; as a path, it must lead nowhere else.
    """
    plain = "".join(c if c.isalnum() or c in " _-./" else "_" for c in name)
    return "/".join(part if part.strip(".") else "_" for part in plain.split("/"))
