"""A backup goes to a Job by its standard input, byte for byte, and how the Job ends is told."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from compose.errors import CONFIG, ComposeError
from delivery.imports import import_file
from fakes.kubectl import FakeKubectl

_FORM = {
    "kind": "CronJob",
    "metadata": {"name": "import"},
    "spec": {
        "suspend": True,
        "jobTemplate": {"spec": {"template": {"spec": {"containers": [{"name": "backup", "args": []}]}}}},
    },
}


@dataclass(eq=False)
class _Importing(FakeKubectl):
    """A cluster that runs the Job: it writes what it is sent to a file."""

    received: Path = Path()
    ends: str = "Complete"
    attach_code: int = 0

    def output(self, *argv: str, text: str | None = None, seconds: float = 120) -> str:
        assert argv[:2] == ("get", "pods")
        return json.dumps({"items": [{"metadata": {"name": "pod"}, "status": {"phase": "Running"}}]})

    def command(self, *argv: str) -> list[str]:
        assert argv == ("attach", "--stdin", "--quiet", "pod")
        return ["sh", "-c", f"cat >'{self.received}'; echo said so >&2; exit {self.attach_code}"]

    def find(self, kind: str, name: str) -> Any:
        found = super().find(kind, name)
        if kind == "job" and found:
            found["status"] = {"conditions": [{"type": self.ends, "status": "True"}]}
        return None if self.ends == "removed" and kind == "job" else found

    def run(self, *argv: str, text: str | None = None, seconds: float = 120) -> subprocess.CompletedProcess[str]:
        assert argv == ("logs", "pod")
        return subprocess.CompletedProcess(argv, 0, "error: the backup is damaged\n", "")


@pytest.fixture
def cluster(tmp_path: Path) -> _Importing:
    return _Importing(objects={("cronjob", "import"): _FORM}, received=tmp_path / "received")


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    path = tmp_path / "backup.zip"
    path.write_bytes(bytes(range(256)) * 1000 + b"\r\n\x04")
    return path


def test_it_arrives_byte_for_byte(cluster: _Importing, backup: Path) -> None:
    import_file(cluster, backup, ["--as-starter"])
    assert cluster.received.read_bytes() == backup.read_bytes()
    (job,) = [each for (kind, _), each in cluster.objects.items() if kind == "job"]
    assert job["spec"]["template"]["spec"]["containers"][0]["args"] == ["--as-starter"]
    assert "suspend" not in job["spec"]


@pytest.mark.parametrize("ends", ["Failed", "removed"])
def test_a_job_that_fails_is_told_in_its_own_words(cluster: _Importing, backup: Path, ends: str) -> None:
    cluster.ends = ends
    with pytest.raises(ComposeError, match=r"backup.zip was not imported \(error: the backup is damaged\)"):
        import_file(cluster, backup)


def test_a_connection_that_breaks(cluster: _Importing, backup: Path) -> None:
    cluster.attach_code = 1
    with pytest.raises(ComposeError, match=r"could not be sent to the cluster \(said so\)"):
        import_file(cluster, backup)


def test_no_file_and_nothing_delivered(cluster: _Importing, backup: Path) -> None:
    with pytest.raises(ComposeError, match="there is no file") as refused:
        import_file(cluster, backup.with_name("other.zip"))
    assert refused.value.exit_code == CONFIG
    cluster.objects.clear()
    with pytest.raises(ComposeError, match="nothing is delivered yet"):
        import_file(cluster, backup)
