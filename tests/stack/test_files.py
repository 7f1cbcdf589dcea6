"""The compose files that are laid over the first."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from handful_serving.settings import ServingSettings
from support.stack import Stack


def _config(stack: Stack, over: str) -> dict[str, Any]:
    stack.settings["COMPOSE_FILE"] = f"docker-compose.yml:{over}"
    services: dict[str, Any] = json.loads(stack.compose_output("config", "--format", "json"))["services"]
    return services


@pytest.fixture
def prepared(fresh: Stack) -> Stack:
    assert fresh.run_script("up", "--no-start").returncode == 0
    return fresh


def test_the_console_is_published_as_the_rest_is(prepared: Stack) -> None:
    minio = _config(prepared, "compose.console.yml")["minio"]
    (port,) = minio["ports"]
    assert (port["host_ip"], port["published"], port["target"]) == ("127.0.0.1", "9001", 9001)
    assert minio["environment"]["MINIO_BROWSER"] == "on"


def test_the_store_is_published_for_dvc(prepared: Stack) -> None:
    minio = _config(prepared, "compose.objects.yml")["minio"]
    (port,) = minio["ports"]
    assert (port["host_ip"], port["published"], port["target"]) == ("127.0.0.1", "9000", 9000)
    assert set(minio["networks"]) == {"data", "objects"}


def test_another_object_store_leaves_minio_out(prepared: Stack) -> None:
    services = _config(prepared, "compose.s3.yml")
    assert "minio" not in services
    assert set(services["minio-init"]["depends_on"]) == {"preflight"}
    assert "edge" in services["minio-init"]["networks"]
    assert {services[name]["environment"]["S3_ENDPOINT_URL"] for name in ("mlflow", "minio-init")} == {""}


def test_empty_values_in_env_mean_the_defaults(fresh: Stack) -> None:
    def config() -> Any:
        return json.loads(fresh.compose_output("--profile", "*", "config", "--format", "json"))

    without = config()
    text = (fresh.root / ".env.example").read_text()
    names = re.findall(r"^(?:# )?([A-Z0-9_]+)=", text, re.MULTILINE)
    assert len(names) > 40
    # Compose itself takes an empty COMPOSE_FILE for the folder, and says "is a directory".
    (fresh.root / ".env").write_text("".join(f"{name}=\n" for name in names if name != "COMPOSE_FILE"))
    assert config() == without
    (fresh.root / ".env").write_text(text)
    assert config() == without, "and so do those of .env.example"


def test_down_removes_the_volumes_of_all_services(fresh: Stack) -> None:
    # Compose forgets the volumes that only services of a profile mount.
    plain, all_of_it = (
        json.loads(fresh.compose_output(*profiles, "config", "--format", "json"))["services"]
        for profiles in ((), ("--profile", "*"))
    )
    assert _volumes(plain) == _volumes(all_of_it)


def _volumes(services: dict[str, Any]) -> set[str]:
    mounted = (volume for words in services.values() for volume in words.get("volumes", ()))
    return {volume["source"] for volume in mounted if volume["type"] == "volume"}


def test_a_gpu_is_for_trainings_and_serving(prepared: Stack) -> None:
    prepared.settings["COMPOSE_PROFILES"] = "train"
    services = _config(prepared, "compose.gpu.yml")
    reserving = {name for name, words in services.items() if "deploy" in words}
    assert reserving == {"serving", "trainer"}
    assert services["serving"]["build"]["args"] == {"ONNXRUNTIME": "onnxruntime-gpu", "SERVING_EXTRAS": ""}
    assert services["trainer"]["build"]["args"] == {"TORCH_BACKEND": "default", "TRAINER_EXTRAS": ""}


def test_keys_are_asked_for_as_soon_as_others_reach_the_api(prepared: Stack) -> None:
    everywhere = "0.0.0.0"  # noqa: S104  # Nothing is started.
    for address, required in (("127.0.0.1", False), (everywhere, True)):
        prepared.settings["BIND_ADDRESS"] = address
        told = json.loads(prepared.compose_output("config", "--format", "json"))["services"]["serving"]["environment"]
        own = {name.removeprefix("HANDFUL_SERVING_").lower(): value for name, value in told.items()}
        settings = ServingSettings(host=everywhere, published_at=own["published_at"], auth=own["auth"])
        assert settings.keys_required is required
