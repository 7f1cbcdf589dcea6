"""Where a training runs: one device, or several that each have a process of their own."""

from __future__ import annotations

import socket
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Self

import torch
from lightning.fabric.plugins.environments import ClusterEnvironment, TorchElasticEnvironment
from lightning.pytorch.strategies import DDPStrategy

from handful_core.errors import ConfigError
from handful_trainer.pipeline.torchrun import ProcessGroup
from handful_trainer.tasks.classification.settings import ClassificationConfig

_TIMEOUT = timedelta(minutes=10)
"""How long the processes of a training wait for one that does not answer."""


@dataclass(frozen=True, slots=True)
class Placement:
    """The devices of a training, and which of its processes this one is."""

    accelerator: str
    """Lightning's: cuda, cpu or mps."""
    devices: tuple[int, ...] = (0,)
    """Their numbers. A batch is shared out to all of them alike."""
    rank: int = 0
    """This process's device, as a place among them."""
    port: int = 0
    """Where the processes find each other; 0 with one device, and where torchrun tells them."""
    group: ProcessGroup | None = None
    """Torchrun's processes, where it started them: each has a device of its machine."""

    @property
    def ranks(self) -> int:
        """How many devices, and so processes, there are."""
        return self.group.size if self.group else len(self.devices)

    def alone(self) -> Self:
        """This process's device, without the others."""
        return replace(self, devices=(self.devices[self.rank],), rank=0, port=0)

    def trainer_arguments(self, *, freezes: bool) -> dict[str, Any]:
        """What Lightning's Trainer has to know of it.

        Args:
            freezes: parts of the network have no gradient for a while.
        """
        devices: list[int] | int = list(self.devices) if self.accelerator == "cuda" else self.ranks
        arguments = {"accelerator": self.accelerator, "devices": devices}
        if self.ranks == 1:
            return arguments
        environment = TorchElasticEnvironment() if self.group else _OneMachine(self)
        strategy = DDPStrategy(cluster_environment=environment, timeout=_TIMEOUT, find_unused_parameters=freezes)
        arguments["strategy"] = strategy
        return arguments | ({"devices": self.group.local_size, "num_nodes": self.group.machines} if self.group else {})


def placement(config: ClassificationConfig, group: ProcessGroup | None = None) -> Placement:
    """The devices that a configuration names, or that torchrun gives to its processes.

    Raises:
        ConfigError: there is no such device.
    """
    wanted = config.training.devices
    if group is not None:
        return _of_torchrun(config, group)
    if wanted == ("auto",):
        wanted = ("0",) if torch.cuda.is_available() else ("cpu",)
    if wanted in {("cpu",), ("mps",)}:
        return Placement(wanted[0])
    there = torch.cuda.device_count()
    for number in wanted:
        if not number.isdigit() or int(number) >= there:
            raise ConfigError(
                f"training.device: there is no device {number} (CUDA devices: {there})",
                "set it to auto, cpu, mps, a number, or several",
            )
    return Placement("cuda", tuple(map(int, wanted)), port=_free_port() if len(wanted) > 1 else 0)


def _of_torchrun(config: ClassificationConfig, group: ProcessGroup) -> Placement:
    """A device for each process of each machine: a processor's share, or a GPU."""
    wanted, batch = config.training.devices, config.training.batch
    if wanted not in {("auto",), ("cpu",)}:
        raise ConfigError("training.device: torchrun gives each process its device", "set it to auto, or to cpu")
    if batch % group.size or batch < 2 * group.size:
        raise ConfigError(
            f"training.batch: {batch} images cannot be shared out to {group.size} processes alike, two at least",
            f"set it to a multiple of {group.size}",
        )
    gpus = 0 if wanted == ("cpu",) else torch.cuda.device_count()
    if 0 < gpus < group.local_size:
        raise ConfigError(
            f"torchrun started {group.local_size} processes here, and there are {gpus} CUDA devices",
            f"give it --nproc-per-node {gpus}, or set training.device to cpu",
        )
    accelerator = "cuda" if gpus else "cpu"
    return Placement(accelerator, tuple(range(group.local_size)), rank=group.rank, group=group)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class _OneMachine(ClusterEnvironment):
    """Processes of one machine, which `ranks` starts: Lightning would run the whole command again for each."""

    creates_processes_externally = True
    main_address = "127.0.0.1"

    def __init__(self, place: Placement) -> None:
        self._place = place

    @property
    def main_port(self) -> int:
        """Where the first process listens."""
        return self._place.port

    @staticmethod
    def detect() -> bool:
        """It is named, never guessed."""
        return False

    def world_size(self) -> int:
        """All processes."""
        return self._place.ranks

    def set_world_size(self, size: int) -> None:
        """It is known."""

    def global_rank(self) -> int:
        """This process."""
        return self._place.rank

    def set_global_rank(self, rank: int) -> None:
        """It is known."""

    def local_rank(self) -> int:
        """This process."""
        return self._place.rank

    def node_rank(self) -> int:
        """There is one machine."""
        return 0
