"""The shell scripts: clean, with help and exit codes, and able to find a Python."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from commands import docker_engine
from fakes.checkout import FakeCheckout, build_checkout
from installer.stamp import Stamp, fingerprint
from support.docker_engine import missing_engine_reason

pwd = pytest.importorskip("pwd", reason="the shell scripts are for POSIX")

_SCRIPTS = ("quickstart", "test", "lock")


def _run(script: Path, *words: str, path: str | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **env, **({"PATH": path} if path else {})}
    return subprocess.run(
        [script, *words], env=environment, capture_output=True, text=True, check=False, timeout=60, cwd="/"
    )


@pytest.fixture
def checkout(repository: Path, tmp_path: Path) -> FakeCheckout:
    """A checkout with the real scripts, in which `handful` and the tools only write down how they were called."""
    built = build_checkout(tmp_path)
    shutil.copytree(
        repository / "scripts", built.root / "scripts", ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True
    )
    return built


def _installed(checkout: FakeCheckout) -> None:
    """Let the checkout seem installed, so that the scripts go on at once."""
    checkout.environment()
    checkout.tool("uv")
    checkout.on_path("chromium")
    for name in ("handful", "ruff", "mypy", "lint-imports", "deptry", "shellcheck", "pytest"):
        checkout.tool(name)
    installed = fingerprint(checkout.layout)
    Stamp().write(checkout.layout, {"services": installed, "dev": installed})


def _after_install(checkout: FakeCheckout) -> list[str]:
    return [call for call in checkout.calls if not call.startswith("uv")]


def test_shellcheck_finds_nothing(repository: Path) -> None:
    files = [*repository.glob("scripts/**/*.sh"), repository / ".ci" / "run"]
    assert len(files) >= 5
    done = subprocess.run(
        [Path(sys.executable).parent / "shellcheck", "--external-sources", *files],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", _SCRIPTS)
def test_help_needs_no_installation(checkout: FakeCheckout, name: str) -> None:
    for word in ("--help", "-h"):
        done = _run(checkout.root / "scripts" / f"{name}.sh", word, path="/usr/bin:/bin")
        assert done.returncode == 0
        assert done.stdout.startswith(f"usage: scripts/{name}.sh")
    assert not checkout.layout.venv.exists()


def test_the_scripts_can_be_executed(repository: Path) -> None:
    for script in [*repository.glob("scripts/*.sh"), repository / ".ci" / "run"]:
        assert os.access(script, os.X_OK), script


@pytest.mark.parametrize("words", [["--exot"], ["--port"], ["extra"]])
def test_quickstart_refuses_what_it_does_not_know_before_it_installs(checkout: FakeCheckout, words: list[str]) -> None:
    done = _run(checkout.root / "scripts" / "quickstart.sh", *words)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert not checkout.layout.venv.exists()


def test_quickstart_passes_its_options_on(checkout: FakeCheckout) -> None:
    _installed(checkout)
    words = ["--exit", "--port", "8123", "--mlflow-port", "5123", "--config", "a b.yaml", "--retrain", "--debug"]
    done = _run(checkout.root / "scripts" / "quickstart.sh", *words)
    assert done.returncode == 0, done.stderr
    assert _after_install(checkout) == [f"handful quickstart {' '.join(words)}"]


def test_quickstart_ends_as_handful_does(checkout: FakeCheckout) -> None:
    _installed(checkout)
    checkout.tool("handful", "exit 6")
    assert _run(checkout.root / "scripts" / "quickstart.sh").returncode == 6


def test_install_only_stops_there(checkout: FakeCheckout) -> None:
    _installed(checkout)
    assert _run(checkout.root / "scripts" / "quickstart.sh", "--install-only").returncode == 0
    assert _after_install(checkout) == []


def test_test_checks_before_it_tests(checkout: FakeCheckout) -> None:
    _installed(checkout)
    checkout.tool("pytest", 'echo "coverage by $COVERAGE_CORE"')
    done = _run(checkout.root / "scripts" / "test.sh", path=f"{checkout.path}:{os.environ['PATH']}", COVERAGE_CORE="")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"coverage by {'sysmon' if sys.version_info >= (3, 12) else ''}"
    # Python 3.11 can only trace, which takes half as long again.
    assert ("--cov" in _after_install(checkout)[-1]) is (sys.version_info >= (3, 12))
    programs = [call.split()[0] for call in _after_install(checkout)]
    assert programs == ["ruff", "ruff", "mypy", "lint-imports", "deptry", "shellcheck", "pytest"]
    assert _after_install(checkout)[-1].startswith("pytest --numprocesses 2 --durations=20")


@pytest.mark.parametrize(
    ("program", "check"),
    [
        ("ruff", "ruff"),
        ("mypy", "mypy"),
        ("lint-imports", "import-linter"),
        ("deptry", "deptry core"),
        ("shellcheck", "shellcheck"),
    ],
)
def test_a_fault_stops_before_the_tests(checkout: FakeCheckout, program: str, check: str) -> None:
    _installed(checkout)
    checkout.tool(program, "exit 1")
    done = _run(checkout.root / "scripts" / "test.sh", path=f"{checkout.path}:{os.environ['PATH']}")
    assert done.returncode == 1
    assert f"error: {check} found faults" in done.stderr
    assert not any(call.startswith("pytest") for call in checkout.calls)


def test_the_last_line_and_the_exit_code_are_pytests(checkout: FakeCheckout) -> None:
    _installed(checkout)
    checkout.tool("pytest", "echo '=== 1 failed ==='; exit 1")
    done = _run(checkout.root / "scripts" / "test.sh", path=f"{checkout.path}:{os.environ['PATH']}")
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == "=== 1 failed ==="


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--fast"], "pytest -m unit or contract --numprocesses 2"),
        (["--fast", "-x"], "pytest -m unit or contract -x"),
        (["--slow"], "pytest --slow --numprocesses 2 --durations=20"),
        (["--stack"], "pytest tests/stack"),
        (["tests/unit", "-k", "a b"], "pytest tests/unit -k a b"),
    ],
)
def test_words_reach_pytest(checkout: FakeCheckout, words: list[str], expected: str) -> None:
    _installed(checkout)
    _run(checkout.root / "scripts" / "test.sh", *words, path=f"{checkout.path}:{os.environ['PATH']}")
    assert checkout.calls[-1].startswith(expected)


def _engine(checkout: FakeCheckout, body: str) -> None:
    """What starts a Docker engine where none can be had otherwise."""
    checkout.program(checkout.root.parent / "shared" / "docker", "engine", body)


def _started(checkout: FakeCheckout) -> Path:
    """Run the tests; where it is noted how the engine starts."""
    done = _run(checkout.root / "scripts" / "test.sh", path=f"{checkout.path}:{os.environ['PATH']}")
    assert done.returncode == 0, done.stderr
    (called,) = [call for call in checkout.calls if call.startswith("pytest")]
    words, folder = called.split(" --engine=")  # In one word: pytest takes a folder by itself for its root.
    assert words.startswith("pytest --numprocesses 2 --durations=20")
    assert words.endswith(" --stack")
    return Path(folder)


def test_the_stack_is_tested_in_an_engine_that_is_started_meanwhile(checkout: FakeCheckout) -> None:
    _installed(checkout)
    release = checkout.root / "release"
    _engine(checkout, f"while [ -d {checkout.root} ] && [ ! -e {release} ]; do sleep 0.05; done")
    notes = _started(checkout)
    assert not (notes / "code").exists()
    release.touch()
    assert missing_engine_reason(notes) == missing_engine_reason(None)
    assert [call for call in checkout.calls if call.startswith("engine")] == ["engine up", "engine images"]
    shutil.rmtree(notes)


def test_an_engine_that_cannot_be_had_fails_nothing(checkout: FakeCheckout) -> None:
    _installed(checkout)
    _engine(checkout, "echo 'engine: this needs root' >&2; echo; exit 1")
    notes = _started(checkout)
    assert missing_engine_reason(notes) == "there is no Docker engine: engine: this needs root"
    shutil.rmtree(notes)


def test_an_engine_is_given_up_where_nothing_is_tested(checkout: FakeCheckout, tmp_path: Path) -> None:
    _installed(checkout)
    _engine(checkout, "sleep 1")
    checkout.tool("ruff", "exit 1")
    (tmp_path / "notes").mkdir()
    path = f"{checkout.path}:{os.environ['PATH']}"
    done = _run(checkout.root / "scripts" / "test.sh", path=path, TMPDIR=str(tmp_path / "notes"))
    assert done.returncode == 1
    assert "error: ruff found faults" in done.stderr
    assert not list((tmp_path / "notes").iterdir())


def test_an_engine_that_does_not_come_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    assert missing_engine_reason(tmp_path, 0) == "there is no Docker engine: it has not started within 0 s"


def test_without_what_starts_one_the_engine_that_is_there_is_asked(checkout: FakeCheckout) -> None:
    _installed(checkout)
    _run(checkout.root / "scripts" / "test.sh", path=f"{checkout.path}:{os.environ['PATH']}")
    assert checkout.calls[-1].endswith(" --stack")


def test_the_engine_finds_pythons_in_a_bare_environment_too(
    checkout: FakeCheckout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, pyenv = tmp_path / "home", tmp_path / "home" / ".pyenv"
    pyenv.mkdir(parents=True)
    monkeypatch.setattr(docker_engine, "_own_home", lambda: str(home))
    environment = docker_engine._environment
    assert environment({"PATH": "/bin"}) == {"HOME": str(home), "PYENV_ROOT": str(pyenv), "PATH": "/bin"}
    assert environment({"HOME": "/nowhere"}) == {"HOME": "/nowhere", "PYENV_ROOT": str(pyenv)}
    assert environment({"HOME": "/nowhere", "PYENV_ROOT": "/mine"}) == {"HOME": "/nowhere", "PYENV_ROOT": "/mine"}


@pytest.mark.parametrize("user", ["root", "nobody at all"])
def test_the_home_is_the_users_own(monkeypatch: pytest.MonkeyPatch, user: str) -> None:
    monkeypatch.setenv("HOME", "/elsewhere")
    monkeypatch.setenv("LOGNAME", user)
    assert docker_engine._own_home() == {"root": pwd.getpwnam("root").pw_dir}.get(user, "/")


@pytest.mark.parametrize("words", [["--fast"], ["tests/unit"]])
def test_no_engine_is_started_for_tests_that_need_none(checkout: FakeCheckout, words: list[str]) -> None:
    _installed(checkout)
    _engine(checkout, "exit 0")
    _run(checkout.root / "scripts" / "test.sh", *words, path=f"{checkout.path}:{os.environ['PATH']}")
    assert not [call for call in checkout.calls if call.startswith("engine")]
    assert "--stack" not in checkout.calls[-1]


def test_ci_runs_the_tests(repository: Path, checkout: FakeCheckout) -> None:
    (checkout.root / ".ci").mkdir()
    shutil.copy(repository / ".ci" / "run", checkout.root / ".ci" / "run")
    (checkout.root / "scripts" / "test.sh").write_text("#!/bin/sh\necho tested; exit 3\n")
    done = _run(checkout.root / ".ci" / "run")
    assert (done.stdout, done.returncode) == ("tested\n", 3)


def test_a_shim_that_does_not_work_is_skipped(checkout: FakeCheckout) -> None:
    _installed(checkout)
    checkout.layout.python.unlink()
    for name in ("python3.13", "python3.12"):
        checkout.on_path(name, "exit 127")
    checkout.on_path("python3.11", f'exec {sys.executable} "$@"')
    lib = checkout.root / "scripts" / "lib" / "python.sh"
    done = subprocess.run(
        ["bash", "-c", f". {lib}; find_python"],
        env={"PATH": f"{checkout.path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "python3.11\n"


def test_no_python_is_told(checkout: FakeCheckout) -> None:
    for name in ("basename", "dirname", "cat", "bash", "env"):
        (checkout.path / name).symlink_to(shutil.which(name) or name)
    checkout.on_path("python3", "exit 1")
    done = _run(checkout.root / "scripts" / "quickstart.sh", path=str(checkout.path))
    assert done.returncode == 6
    assert done.stderr.startswith("error: no Python 3.11, 3.12 or 3.13 works here: install one")


def test_the_user_may_name_a_python(checkout: FakeCheckout) -> None:
    _installed(checkout)
    named = checkout.program(checkout.root / "named", "python", f'exec {sys.executable} "$@"')
    lib = checkout.root / "scripts" / "lib" / "python.sh"
    done = subprocess.run(
        ["bash", "-c", f". {lib}; find_python"],
        env={"PATH": "/usr/bin:/bin", "HANDFUL_PYTHON": str(named)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"{named}\n"
