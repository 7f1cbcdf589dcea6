"""A batch on a Ray cluster: Ray Data spreads the parts, and repeats those of a node that was lost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from handful_core.batch.worker import Done, Part, Worker
from handful_core.errors import ConfigError, UnavailableError


class RayCluster:
    """Runs a worker on the nodes of a Ray cluster. They need the same Handful, and see the same storages.

    Args:
        address: of the cluster, such as ray://HOST:10001, HOST:6379 or auto.
    """

    def __init__(self, address: str) -> None:
        self.address = address

    def __call__(self, worker: Worker, parts: Sequence[Part]) -> Iterator[Done]:
        """Answer all parts, in any order.

        Raises:
            ConfigError: Ray is not installed.
            UnavailableError: the cluster does not answer.
        """
        if not parts:
            return
        ray = _connected(self.address)
        try:
            reference = ray.put(worker)
            processors = max(1, int(ray.cluster_resources().get("CPU", 1)))
            answers = ray.data.from_items([{"part": part} for part in parts]).map(
                _Actor,
                fn_constructor_args=(reference,),
                concurrency=(1, min(processors, len(parts))),
                num_cpus=1,
            )
            for row in answers.iter_rows():
                yield Done(**row)
        finally:
            ray.shutdown()


class _Actor:
    """A worker in a Ray process."""

    def __init__(self, reference: Any) -> None:
        import ray

        self._worker: Worker = ray.get(reference)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        return asdict(self._worker.answer(row["part"]))


def _connected(address: str) -> Any:
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ConfigError("--ray needs Ray", "pip install 'handful-core[ray]'") from error
    try:
        ray.init(address=address, log_to_driver=False)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise UnavailableError(f"the Ray cluster at {address} does not answer ({error})", "check --ray") from error
    return ray
