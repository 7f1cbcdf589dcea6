"""The one door to Ultralytics: how it is set up, which arguments it gets."""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import URLError

from PIL import Image

from handful_core.errors import ConfigError, DataError, HandfulError, UnavailableError
from handful_core.runtime.cpus import available_cpus
from handful_trainer.tasks.detection.settings import DetectionConfig

if TYPE_CHECKING:
    from ultralytics import YOLO

_log = logging.getLogger(__name__)

_OURS = {"max_time_hours": "time"}
"""Settings whose name differs from Ultralytics'."""
_FITTING = 0.5
"""Between generations of one size at least 0.72 fits, between widths at most 0.48, mostly 0.01."""


def configure_ultralytics(home: Path) -> None:
    """Import Ultralytics such that it neither installs packages, nor phones home, nor logs to MLflow itself.

    It reads the environment when it is imported, so this comes first, once per process. From here on a `.pt` file
    gives tensors and known layers. A file that holds anything else is refused before a line of it runs.
    """
    cpus = str(available_cpus())
    settings = (home / "ultralytics").resolve()
    settings.mkdir(parents=True, exist_ok=True)
    os.environ.update(
        YOLO_AUTOINSTALL="false",
        YOLO_OFFLINE="true",
        YOLO_VERBOSE="false",
        YOLO_CONFIG_DIR=str(settings),
        ULTRALYTICS_SAFE_LOAD="true",
        OMP_NUM_THREADS=os.environ.get("OMP_NUM_THREADS", cpus),  # As the user has it, else all.
        MPLBACKEND="Agg",
    )
    import torch
    from ultralytics import settings as ultralytics_settings
    from ultralytics.utils import LOGGER, checks, patches, torch_utils

    # Its replacement asks for a package whenever an image cannot be read, and what it raises then is no image error.
    Image.open = patches._image_open
    _use_processors(int(os.environ["OMP_NUM_THREADS"]), torch_utils, torch)
    checks.check_font = _own_font
    _silence_bars()
    _refuse_code_in_weights()
    LOGGER.setLevel(logging.WARNING)
    trackers = ("clearml", "comet", "dvc", "mlflow", "raytune", "tensorboard", "wandb", "sync")
    ultralytics_settings.update(
        {name: False for name in trackers if name in ultralytics_settings}
        | {"weights_dir": str(home.resolve() / "weights"), "runs_dir": str(home.resolve() / "runs")}
    )


def _refuse_code_in_weights() -> None:
    """Let Ultralytics read `.pt` files with `weights_only`, also where its own flag does not reach."""
    from ultralytics.nn import tasks
    from ultralytics.utils import torch_utils

    tasks.SAFE_LOAD = True  # Somebody may have imported Ultralytics before the flag was set.
    # `strip_optimizer`, at the end of a training, reads the checkpoints with code and all.
    torch_utils.torch_load = lambda file, **_: tasks.torch_safe_load(file, safe_only=True)[0]


def _use_processors(threads: int, torch_utils: Any, torch: Any) -> None:
    """Let it use so many threads: by itself Ultralytics leaves one core idle whenever it selects a CPU device."""
    torch_utils.NUM_THREADS = threads
    torch.set_num_threads(threads)


def _silence_bars() -> None:
    """Its bar for filling the cache heeds no setting, and ours shows the progress already."""
    from ultralytics.data import base

    bar = base.TQDM
    base.TQDM = lambda *args, **kwargs: bar(*args, **(kwargs | {"disable": True}))


def _own_font(font: str = "Arial.ttf") -> str:  # noqa: ARG001  # The signature that Ultralytics calls.
    """A font for its plots that is there, instead of one from the network."""
    from matplotlib import font_manager

    return font_manager.findfont("DejaVu Sans")


def new_model(config: DetectionConfig) -> YOLO:
    """An untrained network."""
    from ultralytics import YOLO

    return YOLO(f"{config.model.architecture}.yaml", task="detect")


def open_network(weights: Path) -> YOLO:
    """A network with these weights.

    Raises:
        UnsafeWeightsError: the file is damaged, or holds more than weights.
    """
    from ultralytics import YOLO

    with _refusing(weights):
        return YOLO(str(weights))


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What Ultralytics wrote into a `.pt` file: the network, and what it knows of the training.

    Raises:
        UnsafeWeightsError: the file is damaged, or holds more than weights.
    """
    from ultralytics.nn.tasks import torch_safe_load

    with _refusing(path):
        content: dict[str, Any] = torch_safe_load(str(path), safe_only=True)[0]
    return content


class UnsafeWeightsError(DataError):
    """A file of weights is damaged, or holds code or other things that are no weights. Nothing of it was run."""


@contextlib.contextmanager
def _refusing(path: Path) -> Iterator[None]:
    """What Ultralytics and torch raise for a file that is not what it should be, as one line."""
    try:
        yield
    except (TypeError, AttributeError, KeyError, ImportError, EOFError, RuntimeError, pickle.UnpicklingError) as error:
        raise UnsafeWeightsError(
            f"{path} is damaged, or holds more than a network's weights ({_reason(error)}): nothing of it was run",
            "use weights that Handful or Ultralytics wrote, from somebody you trust",
        ) from error


def _reason(error: BaseException) -> str:
    """What torch refused, where it did: Ultralytics' own words leave it out."""
    cause = error.__cause__ or error
    named = re.search(r"GLOBAL ([\w.]+)", str(cause))
    return f"{named[1]} is no part of a network" if named else type(cause).__name__


def refuse_misfits(network: YOLO, weights: Path, pretrained: str) -> None:
    """Refuse weights of which few fit: Ultralytics takes those that do, and says nothing of the others.

    Args:
        network: what is to be trained.
        weights: a `.pt` file.
        pretrained: what it is called in the configuration.

    Raises:
        ConfigError: less than half of the network would begin with them.
        UnsafeWeightsError: the file is damaged, or holds more than weights.
    """
    theirs, ours = open_network(weights).model.state_dict(), network.model.state_dict()
    fitting = sum(ours[key].numel() for key in ours.keys() & theirs.keys() if ours[key].shape == theirs[key].shape)
    share = fitting / sum(tensor.numel() for tensor in ours.values())
    if share < _FITTING:
        raise ConfigError(
            f"model.pretrained: {share:.0%} of the network would begin with {pretrained}, which is of another size",
            "change model.size, name other weights, or set it to false",
        )


def training_arguments(config: DetectionConfig, data_yaml: Path, folder: Path) -> dict[str, Any]:
    """The configuration as Ultralytics' own training arguments.

    Args:
        config: the training's configuration.
        data_yaml: the prepared dataset's description.
        folder: where Ultralytics puts weights, curves and plots.
    """
    own = config.training.model_dump() | config.augmentation.model_dump()
    arguments = {_OURS.get(key, key): value for key, value in own.items() if value is not None}
    if arguments["device"] == "auto":
        del arguments["device"]
    if not config.training.cache:
        arguments["cache"] = False
    return {
        **arguments,
        "workers": min(config.training.workers, available_cpus()),
        "data": str(data_yaml),
        "project": str(folder.parent),
        "name": folder.name,
        "exist_ok": True,
        "plots": True,
        "verbose": False,
    }


def download_weights(name: str, target: Path) -> Path:
    """Bring weights of Ultralytics' own.

    Args:
        name: such as yolo11n.pt.
        target: where they go.

    Raises:
        UnavailableError: they cannot be downloaded.
    """
    from ultralytics.utils.downloads import attempt_download_asset

    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        found = Path(attempt_download_asset(target))
    except (OSError, URLError, ValueError, KeyError) as error:
        raise _no_download(name) from error
    if not found.is_file():
        raise _no_download(name)
    return found


def _no_download(name: str) -> HandfulError:
    return UnavailableError(
        f"the weights {name} cannot be downloaded",
        "put the file on this machine and give its path as model.pretrained, or set model.pretrained to false",
    )
