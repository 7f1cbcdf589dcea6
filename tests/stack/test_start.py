"""From nothing to a prediction."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol

from fakes.packages import encode, picture
from handful_serving.api.security_headers import STRICT_POLICY as CSP_HEADER
from support.stack import SERVERS, Stack


def test_a_cold_start_makes_settings_and_secrets_and_leaves_all_well(stack: Stack) -> None:
    assert (stack.root / ".env").is_file()
    secrets = stack.root / "secrets"
    assert secrets.stat().st_mode & 0o077 == 0, "only their owner gets into the folder"
    assert sorted(path.name for path in secrets.iterdir()) == ["postgres_password", "s3_access_key", "s3_secret_key"]
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


def test_a_second_start_changes_nothing(stack: Stack) -> None:
    before = {name: (stack.root / "secrets" / name).read_text() for name in ("postgres_password", "s3_secret_key")}
    started = {service: stack.container(service)["State"]["StartedAt"] for service in SERVERS}
    done = stack.run_script("up", "--no-build")
    assert done.returncode == 0, done.stderr
    assert f"the dashboard: {stack.url('DASHBOARD_PORT')}/" in done.stderr
    assert before == {name: Path(stack.root / "secrets" / name).read_text() for name in before}
    assert started == {service: stack.container(service)["State"]["StartedAt"] for service in SERVERS}
