"""The task of a registered model: all its versions have the same one."""

from __future__ import annotations

from contextlib import suppress

from handful_core.errors import ConfigError, NotFoundError
from handful_core.registry import CHAMPION, Registry


def check_model_task(registry: Registry, name: str, task: str) -> None:
    """Refuse a version of another task. Who asks a detector for boxes would be answered with classes one day.

    Args:
        registry: MLflow's registry.
        name: the registered model.
        task: of the version that it is to get, as packages name it.

    Raises:
        ConfigError: the champion, or the newest version where there is none, has another task.
        UnavailableError: MLflow does not answer.
    """
    with suppress(NotFoundError):  # There is no such model yet.
        versions = registry.versions(name)
        known = [version for version in versions if CHAMPION in version.aliases] or versions[:1]
        for version in known:
            theirs = version.tags.get("task", task)
            if theirs != task:
                raise ConfigError(
                    f"the registered model {name} is for the task {theirs}, and this is for {task}",
                    "choose another name for it (mlflow.model_name, or --name)",
                )
