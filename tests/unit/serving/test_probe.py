"""A package's first run, in a process of its own: what it does to that process, and what is remembered of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fakes.hostile import endless, hostile_package, hungry
from fakes.packages import allowing, build_package, damage, proved
from handful_core.errors import ResourceError
from handful_core.package.errors import DamagedPackageError
from handful_core.runtime.openvino import is_installed
from handful_serving.adapters import probe as probe_module
from handful_serving.adapters.backends import model_opener
from handful_serving.adapters.probe import Limits, Probe
from handful_serving.adapters.probe_record import ProbeRecord, Verdict
from handful_serving.errors import ProbeError

LIMITS = Limits(seconds=60, run_seconds=2, memory=500_000_000)


class Counted(Probe):
    """Counts its processes."""

    runs = 0

    def _run(self, folder: Path) -> Verdict:
        self.runs += 1
        return super()._run(folder)


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Counted]:
    """A freshly started serving's: the record outlives it."""

    def probe(**limits: float | None) -> Counted:
        record = ProbeRecord(tmp_path / "probe.json")
        return Counted("onnxruntime", 1, replace(LIMITS, **limits), record)  # type: ignore[arg-type]

    return probe


def refused(probe: Probe, folder: Path) -> ProbeError:
    with pytest.raises(ProbeError) as caught:
        probe.check(folder)
    return caught.value


def test_a_good_package_passes_and_is_not_tried_again(make: Callable[..., Counted], tmp_path: Path) -> None:
    folder = build_package(tmp_path / "package").root
    first, after_a_restart = make(), make()
    memory = first.check(folder)
    assert set(memory) == {"onnxruntime"}
    assert 0 < memory["onnxruntime"] < 100_000_000
    assert after_a_restart.check(folder) == memory
    assert (first.runs, after_a_restart.runs) == (1, 0)


def test_a_loop_without_an_end_is_ended(make: Callable[..., Counted], tmp_path: Path) -> None:
    folder = hostile_package(tmp_path / "package", endless).root
    began = time.monotonic()
    error = refused(make(), folder)
    assert error.kind == "time"
    assert "a run of the graph took longer than 2 s" in str(error)
    assert time.monotonic() - began < 40
    after_a_restart = make()
    assert str(refused(after_a_restart, folder)) == str(error)
    assert after_a_restart.runs == 0


def test_an_int8_graph_without_an_end_is_not_taken_and_the_package_is(tmp_path: Path) -> None:
    hostile = hostile_package(tmp_path / "hostile", endless).model_path.read_bytes()
    good = build_package(tmp_path / "package")
    folder = allowing(good, proved("int8", "onnxruntime"), int8=hostile).root
    probe = Counted("onnxruntime", 1, LIMITS, ProbeRecord(tmp_path / "probe.json"))
    assert set(probe.check(folder)) == {"onnxruntime"}
    assert set(probe.passed(folder)) == {"onnxruntime"}
    opened = model_opener("onnxruntime", 1, tmp_path, passed=probe.passed)(folder)
    assert (opened.backend, opened.precision) == ("onnxruntime", "fp32")


def test_a_precision_that_passes_may_be_opened(tmp_path: Path) -> None:
    folder = allowing(build_package(tmp_path / "package"), proved("int8", "onnxruntime")).root
    record = ProbeRecord(tmp_path / "probe.json")
    probe, plain = Counted("onnxruntime", 1, LIMITS, record), Counted("onnxruntime", 1, LIMITS, record, "fp32")
    assert not probe.passed(folder)
    for one, names in ((plain, {"onnxruntime"}), (probe, {"onnxruntime", "onnxruntime int8"})):
        assert set(one.check(folder)) == names
        assert set(one.passed(folder)) == names


def test_a_process_that_does_not_end_by_itself_is_ended(
    make: Callable[..., Counted], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = hostile_package(tmp_path / "package", endless).root
    probe = make(seconds=8, run_seconds=1000)
    monkeypatch.setattr(probe_module, "_STARVED_SHARE", 0)  # However busy this machine is.
    error = refused(probe, folder)
    assert (error.kind, error.message) == ("time", "it did not answer its golden image within 8 s")


def test_a_graph_that_needs_4_gb_is_refused(make: Callable[..., Counted], tmp_path: Path) -> None:
    folder = hostile_package(tmp_path / "package", hungry()).root
    error = refused(make(), folder)
    assert (error.kind, error.message) == ("memory", "it takes more memory than serving may use for models")
    after_a_restart = make()
    assert refused(after_a_restart, folder).kind == "memory"
    assert after_a_restart.runs == 0


def test_more_memory_gives_another_chance(make: Callable[..., Counted], tmp_path: Path) -> None:
    folder = hostile_package(tmp_path / "package", hungry(512)).root
    assert refused(make(), folder).kind == "memory"
    assert make(memory=1_500_000_000).check(folder)


@pytest.mark.parametrize("kind", ["graph", "golden"])
def test_a_bad_package_is_refused_as_ever(make: Callable[..., Counted], tmp_path: Path, kind: str) -> None:
    folder = build_package(tmp_path / "package").root
    damage(folder, kind)  # type: ignore[arg-type]
    assert refused(make(), folder).kind == kind
    after_a_restart = make()
    assert refused(after_a_restart, folder).kind == kind
    assert after_a_restart.runs == 0


def test_a_damaged_package_takes_no_process(make: Callable[..., Counted], tmp_path: Path) -> None:
    """It is fetched again, and may be whole then."""
    folder = build_package(tmp_path / "package").root
    damage(folder, "hash")
    probe = make()
    with pytest.raises(DamagedPackageError):
        probe.check(folder)
    assert probe.runs == 0


def test_a_process_that_crashes_costs_no_more_than_itself(
    make: Callable[..., Counted], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interpreter = tmp_path / "crashes"
    interpreter.write_text("#!/bin/sh\necho 'free(): invalid pointer' >&2\nkill -SEGV $$\n")
    interpreter.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(interpreter))
    error = refused(make(), build_package(tmp_path / "package").root)
    assert (error.kind, error.message) == ("crash", "its process ended with status -11 (free(): invalid pointer)")


def test_a_process_that_the_system_ends_gets_another_chance_later(
    make: Callable[..., Counted], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = build_package(tmp_path / "package").root
    interpreter = tmp_path / "killed"
    interpreter.write_text("#!/bin/sh\nkill -KILL $$\n")
    interpreter.chmod(0o755)
    with monkeypatch.context() as patched:
        patched.setattr("sys.executable", str(interpreter))
        assert refused(make(), folder).kind == "memory"
    assert refused(make(), folder).kind == "memory", "not at once"
    later = time.time() + probe_module._RETRY_SECONDS + 1
    monkeypatch.setattr("time.time", lambda: later)
    assert make().check(folder)


def test_a_machine_that_is_too_busy_refuses_nothing(
    make: Callable[..., Counted], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = build_package(tmp_path / "package").root
    interpreter = tmp_path / "waits"
    interpreter.write_text("#!/bin/sh\nexec sleep 60\n")
    interpreter.chmod(0o755)
    with monkeypatch.context() as patched:
        patched.setattr("sys.executable", str(interpreter))
        for _ in range(2):
            with pytest.raises(ResourceError, match="too busy to try this package"):
                make(seconds=0.5).check(folder)
    later = time.time() + probe_module._BUSY_SECONDS + 1
    monkeypatch.setattr("time.time", lambda: later)
    assert make().check(folder)


def test_no_process_to_be_had_is_not_the_packages_fault(
    make: Callable[..., Counted], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "nowhere"))
    with pytest.raises(ResourceError, match="no process can be started"):
        make().check(build_package(tmp_path / "package").root)


def test_what_ends_serving_twice_is_opened_no_more(make: Callable[..., Counted], tmp_path: Path) -> None:
    folder = build_package(tmp_path / "package").root

    for _ in range(2):
        probe = make()
        probe.check(folder)
        probe._record.opening(next(iter(json.loads((tmp_path / "probe.json").read_text()))))
    with pytest.raises(ProbeError, match="serving ended 2 times while it opened this package") as caught:
        make().open(folder, model_opener("onnxruntime", 1, tmp_path))
    assert caught.value.kind == "crash"


def test_what_was_opened_counts_no_ends(make: Callable[..., Counted], tmp_path: Path) -> None:
    folder = build_package(tmp_path / "package").root
    for _ in range(4):
        probe = make()
        probe.check(folder)
        assert probe.open(folder, model_opener("onnxruntime", 1, tmp_path)).manifest.name == "fingers"


@pytest.mark.parametrize("content", ["", "[]", '{"key": 1}', '{"key": {"kind": 3}}', "\udcff"])
def test_a_spoilt_record_is_forgotten(tmp_path: Path, content: str) -> None:
    path = tmp_path / "probe.json"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    record = ProbeRecord(path)
    assert record.get("key") is None
    record.put("key", Verdict("time", "too long"))
    assert ProbeRecord(path).get("key") == Verdict("time", "too long")


def test_a_record_that_cannot_be_written_is_done_without(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ProbeRecord(tmp_path / "missing" / "probe.json").put("key", Verdict())
    assert "cannot be noted" in caplog.text


@pytest.mark.skipif(not is_installed(), reason="OpenVINO is not installed: pip install openvino")
def test_each_backend_that_may_serve_it_is_tried(tmp_path: Path) -> None:
    probe = Probe("auto", 1, LIMITS, ProbeRecord(tmp_path / "probe.json"))
    assert set(probe.check(build_package(tmp_path / "package").root)) == {"onnxruntime", "openvino"}
