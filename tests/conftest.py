"""What every test has: the marker of its folder, an environment of its own, the real images where they are."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import hypothesis
import pytest
from PIL import Image
from xdist.scheduler import LoadScopeScheduling

from support.scheduling import FolderScheduling, sort_key

_TESTS = Path(__file__).parent
_MARKED = frozenset({"unit", "contract", "integration", "browser", "scripts", "stack", "cluster"})
_PILLOW_OPEN = Image.open
_OURS = ("HANDFUL_", "MLFLOW_", "PICSELLIA_")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the tests that take minutes, too")
    parser.addoption("--stack", action="store_true", help="run the tests that take a Docker engine, too")
    parser.addoption("--cluster", action="store_true", help="run the tests that take a Kubernetes, too")
    parser.addoption("--engine", type=Path, metavar="FOLDER", help="where scripts/test.sh notes how that engine starts")


def pytest_configure(config: pytest.Config) -> None:
    """Keep third parties quiet, offline, and out of the user's home, in the processes that tests start as well."""
    os.environ |= {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MPLBACKEND": "Agg",
        "YOLO_AUTOINSTALL": "false",
        "YOLO_OFFLINE": "true",
        "YOLO_VERBOSE": "false",
    }
    if "YOLO_CONFIG_DIR" not in os.environ:  # Set already in the workers of pytest-xdist: one folder serves all.
        folder = tempfile.mkdtemp(prefix="handful-tests-yolo-")
        os.environ["YOLO_CONFIG_DIR"] = folder
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    if sys.platform != "win32":
        # nohup keeps the one from all that tests end with it, a worker of pytest-xdist the other.
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # How long an example takes says something of the machine, nothing of the code.
    hypothesis.settings.register_profile("handful", deadline=None)
    hypothesis.settings.load_profile("handful")
    notes = config.getoption("--engine")
    if notes and not hasattr(config, "workerinput"):
        config.add_cleanup(lambda: shutil.rmtree(notes, ignore_errors=True))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling:
    """Share the tests out by what they have in common."""
    return FolderScheduling(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put them in order, mark them, and skip those that nobody asked for."""
    items.sort(key=lambda item: sort_key(item, grouped=hasattr(config, "workerinput")))
    for item in items:
        folder = item.path.relative_to(_TESTS).parts[0]
        if folder in _MARKED:
            item.add_marker(folder)
        if folder == "browser":
            item.add_marker(pytest.mark.timeout(1800))  # The first may wait for the stack: support/network_lock.py.
        if folder == "benchmarks":
            item.add_marker("slow")
        if item.get_closest_marker("slow") and not config.getoption("--slow"):
            item.add_marker(pytest.mark.skip(reason="slow: run with --slow"))


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the person who runs the tests reaches them."""
    for name in list(os.environ):
        if name.startswith(_OURS) and name != "MLFLOW_DISABLE_TELEMETRY":
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _own_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Importing Ultralytics replaces Pillow's `open`: that reaches no other test."""
    monkeypatch.setattr(Image, "open", _PILLOW_OPEN)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home directory, for the test and what it starts."""
    path = tmp_path / "home"
    path.mkdir()
    monkeypatch.setenv("HOME", str(path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(path / ".config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(path / ".cache"))
    return path


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout that is tested."""
    return _TESTS.parent


@pytest.fixture(scope="session")
def shared_data(repository: Path) -> Path:
    """The folder of real images beside the repository."""
    path = repository.parent / "shared" / "data"
    if not path.is_dir():
        pytest.skip(f"no real images: {path} does not exist")
    return path
