"""scripts/deploy: its words, and one line for what is wrong."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from commands import deploy
from commands.parser import ScriptParser


def _run(*words: str) -> int:
    return deploy.deploy(ScriptParser("deploy.sh"), list(words))


@pytest.mark.parametrize("words", [(), ("fly",), ("--json",)])
def test_a_command_that_there_is_not(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        _run(*words)
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_no_kubectl(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert _run("status") == 5
    assert capsys.readouterr().err.startswith("error: kubectl is not installed: https://")
    assert _run("check") == 1
    assert "kubectl is not installed" in capsys.readouterr().out


def test_a_cluster_that_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kubectl = tmp_path / "kubectl"
    kubectl.write_text("#!/bin/sh\necho 'The connection was refused' >&2\nexit 1\n")
    kubectl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert _run("switch") == 5
    assert (
        capsys.readouterr().err == "error: the cluster does not answer (The connection was refused): see KUBECONFIG\n"
    )


def test_an_overlay_that_there_is_not(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(deploy.Kubectl, "require", lambda _: None)
    assert _run("deploy", "--overlay", "tripple") == 2
    assert "they are gpu, monitoring," in capsys.readouterr().err
    assert _run("deploy", "--starter", "cats") == 2
    assert "no starter model cats: fingers, leaves, or none" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--requests", "--seconds"])
def test_a_number_that_asks_nothing(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        _run("test", option, "0")
    assert ended.value.code == 2
    assert "numbers from 1 on" in capsys.readouterr().err


def test_production_without_addresses_of_yours(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("there is no kubectl: the manifests are not rendered")
    monkeypatch.setattr(deploy.Kubectl, "require", lambda _: None)
    assert _run("deploy", "--overlay", "production") == 2
    assert capsys.readouterr().err == ("error: POSTGRES_HOST names example.com: set yours in an overlay of your own\n")
    assert _run("deploy", "--namespace", "other") == 2
    assert "the overlay's namespace is handful: add --namespace handful" in capsys.readouterr().err


def test_import_needs_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("import") == 2
    assert "--file" in capsys.readouterr().err
