"""From nothing to a prediction."""

from __future__ import annotations

import configparser
import json
import re
import struct
from collections.abc import Callable
from typing import Any

import httpx
from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol

from fakes.packages import encode, picture
from handful_serving.api.security_headers import STRICT_POLICY as CSP_HEADER
from support.stack import SERVERS, Stack
from support.waiting import until


def test_a_cold_start_makes_settings_and_secrets_and_leaves_all_well(stack: Stack) -> None:
    assert (stack.root / ".env").is_file()
    assert not (stack.root / "secrets").exists(), "they are in volumes, where nobody but root gets in"
    secrets = [stack.secret(name) for name in ("database/postgres_password", "objects/s3_secret_key")]
    assert len(set(secrets)) == 2
    assert min(map(len, secrets)) >= 32
    assert all(stack.healthy(service) for service in SERVERS)


def test_the_dashboard_is_served_with_serving_s_own_rules(stack: Stack) -> None:
    page = httpx.get(stack.url("DASHBOARD_PORT"))
    assert "<title>Handful</title>" in page.text
    for path in re.findall(r'(?:href|src)="((?:css|js|img)/[^"]+)"', page.text):
        assert httpx.get(f"{stack.url('DASHBOARD_PORT')}/{path}").is_success, path
    api = httpx.get(f"{stack.url('DASHBOARD_PORT')}/api/health/ready")
    for answer in (page, api):
        assert answer.headers.get_list("Content-Security-Policy") == [CSP_HEADER]
        assert answer.headers.get_list("X-Content-Type-Options") == ["nosniff"]
        assert answer.headers.get_list("Referrer-Policy") == ["no-referrer"]
    assert page.headers["Cache-Control"] == "no-cache"
    assert api.headers["Cache-Control"] == "no-store"
    assert not re.search(r"\d", page.headers["Server"]), "the version is nobody's business"


def test_a_prediction_goes_through_nginx(predict: Callable[..., dict[str, Any]]) -> None:
    answer = predict()
    assert (answer["model"], answer["version"], answer["count"]) == ("fingers", 1, 5)


def test_a_request_keeps_its_id_on_the_way(stack: Stack) -> None:
    address = f"{stack.url('DASHBOARD_PORT')}/api/health/ready"
    assert httpx.get(address, headers={"X-Request-ID": "mine-1"}).headers.get_list("X-Request-ID") == ["mine-1"]


def test_a_body_that_is_too_large_is_refused_as_serving_does(stack: Stack) -> None:
    body = bytes(20_000_001)
    for port, path in (("DASHBOARD_PORT", "/api/predict"), ("API_PORT", "/predict")):
        refused = httpx.post(stack.url(port) + path, content=body, headers={"Content-Type": "image/png"})
        assert refused.status_code == 413
        assert refused.headers["Content-Type"] == "application/problem+json"
        assert refused.json()["type"] == "urn:handful:problem:body-too-large"


def test_a_handshake_for_live_frames_reaches_serving(stack: Stack) -> None:
    headers = {"Connection": "Upgrade", "Upgrade": "websocket"}
    answer = httpx.get(f"{stack.url('DASHBOARD_PORT')}/ws/predict", headers=headers)
    # Without its key the handshake is faulty, and the WebSocket protocol of serving's server is what says so.
    assert answer.status_code == 400
    assert "Sec-WebSocket-Key" in answer.text


def test_live_frames_go_through_nginx_and_back(stack: Stack) -> None:
    page = stack.url("DASHBOARD_PORT")
    five = encode(picture({(2, 3): "5"}))
    # As the dashboard does it: with its subprotocol, and with the origin that browsers send.
    connection = connect(
        page.replace("http", "ws") + "/ws/predict?confidence=0.05",
        subprotocols=[Subprotocol("handful.v1")],
        origin=Origin(page),
    )
    with connection as socket:
        assert json.loads(socket.recv(timeout=30))["type"] == "ready"
        for sequence in range(3):
            socket.send(struct.pack(">Id", sequence, 12.5) + five)
            answer = json.loads(socket.recv(timeout=30))
            assert (answer["type"], answer["sequence"], answer["count"]) == ("result", sequence, 5)


def test_every_module_of_the_dashboard_is_in_its_image(stack: Stack) -> None:
    modules = sorted((stack.root / "dashboard" / "js").rglob("*.js"))
    assert len(modules) > 40
    for module in modules:
        answer = httpx.get(f"{stack.url('DASHBOARD_PORT')}/{module.relative_to(stack.root / 'dashboard').as_posix()}")
        assert answer.is_success, module
        assert answer.headers["Content-Type"].startswith(("text/javascript", "application/javascript"))


def test_the_starter_model_is_wanted_but_not_there(stack: Stack) -> None:
    said = "there is no models/starter.zip: the starter model fingers is not imported\n"
    assert stack.logs("starter") == said


def test_mlflow_answers_its_own_hosts_only(stack: Stack) -> None:
    address = f"{stack.url('MLFLOW_PORT')}/api/2.0/mlflow/experiments/get?experiment_id=0"
    assert httpx.get(address).is_success
    assert httpx.get(address, headers={"Host": "evil.example"}).status_code == 403


def test_the_page_of_mlflow_may_change_things_from_its_own_address(stack: Stack) -> None:
    answer = httpx.post(
        f"{stack.url('MLFLOW_PORT')}/api/2.0/mlflow/experiments/search",
        json={"max_results": 1},
        headers={"Origin": stack.url("MLFLOW_PORT")},
    )
    assert answer.is_success


def test_docker_compose_alone_starts_a_fresh_clone_and_down_takes_all_of_it_away(fresh: Stack, stack: Stack) -> None:
    del stack  # Its images are there.
    config = json.loads(fresh.compose_output("--profile", "*", "config", "--format", "json"))
    try:
        fresh.compose_output("up", "--wait", timeout=600)
        assert not (fresh.root / ".env").exists()
        assert all(fresh.healthy(service) for service in SERVERS)
        secrets = [fresh.secret(name) for name in ("database/postgres_password", "objects/s3_secret_key")]
        logs = fresh.compose_output("logs")
        assert "made the secrets postgres_password" in logs
        assert not [secret for secret in secrets if secret in logs]
        assert fresh.volumes() == set(config["volumes"])
        # Started by a script later on, it keeps them.
        done = fresh.run_script("up", "--no-build")
        assert done.returncode == 0, done.stderr
        assert secrets == [fresh.secret(name) for name in ("database/postgres_password", "objects/s3_secret_key")]
    finally:
        fresh.compose_output("down", "--volumes")
    assert fresh.volumes() == set(), "as scripts/down --delete-data does"


def test_mlflow_asks_for_a_password_where_it_is_wanted(
    stack: Stack, ask: Callable[..., httpx.Response], predict: Callable[..., dict[str, Any]]
) -> None:
    address = f"{stack.url('MLFLOW_PORT')}/api/2.0/mlflow/experiments/get?experiment_id=0"
    stack.settings["MLFLOW_AUTH"] = "on"
    try:
        done = stack.run_script("up", "--no-build")
        assert done.returncode == 0, done.stderr
        assert "MLflow asks for a password" in done.stderr
        login = configparser.ConfigParser()
        login.read_string(stack.secret("login/credentials"))
        user, password = login["mlflow"]["mlflow_tracking_username"], login["mlflow"]["mlflow_tracking_password"]
        assert httpx.get(address).status_code == 401
        assert httpx.get(address, auth=(user, "another password")).status_code == 401
        assert httpx.get(address, auth=(user, password), timeout=30).is_success
        # Serving, and the backup tool, have the login as a file.
        until(lambda: ask().is_success, "serving answers")
        promoted = httpx.post(
            f"{stack.url('DASHBOARD_PORT')}/api/models/fingers/promote", json={"version": 1}, timeout=60
        )
        assert promoted.is_success, promoted.text
        exported = stack.run_script("export", "--out", "locked.zip")
        assert exported.returncode == 0, exported.stderr
        for service in SERVERS:
            environments = stack.environments(service)
            assert environments
            assert not [pid for pid, text in environments.items() if password in text], service
        # Another one of the user's own replaces it, everywhere.
        own = stack.root / "own-password"
        own.write_text("correct horse battery staple 100%")
        stack.settings["MLFLOW_PASSWORD_FILE"] = str(own)
        stack.compose_output("up", "--wait", "--force-recreate", "mlflow", timeout=600)
        assert httpx.get(address, auth=(user, password)).status_code == 401
        assert httpx.get(address, auth=(user, own.read_text()), timeout=30).is_success
        until(lambda: _promotes(stack), "serving has the new password without a restart")
    finally:
        stack.settings.pop("MLFLOW_AUTH")
        stack.settings.pop("MLFLOW_PASSWORD_FILE", None)
        stack.compose_output("up", "--wait", timeout=600)
    assert httpx.get(address).is_success
    assert predict()["version"] == 1


def _promotes(stack: Stack) -> bool:
    address = f"{stack.url('DASHBOARD_PORT')}/api/models/fingers/promote"
    return httpx.post(address, json={"version": 1}, timeout=60).is_success


def test_a_second_start_changes_nothing(stack: Stack) -> None:
    names = ("database/postgres_password", "objects/s3_secret_key", "login/credentials")
    before = {name: stack.secret(name) for name in names}
    started = {service: stack.container(service)["State"]["StartedAt"] for service in SERVERS}
    done = stack.run_script("up", "--no-build")
    assert done.returncode == 0, done.stderr
    assert f"the dashboard: {stack.url('DASHBOARD_PORT')}/" in done.stderr
    assert before == {name: stack.secret(name) for name in before}
    assert started == {service: stack.container(service)["State"]["StartedAt"] for service in SERVERS}
