from __future__ import annotations

import json
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from fakes.packages import build_package, encode, filled, picture
from handful_serving.adapters.key_file import KeyFile
from handful_serving.api import live_connection
from handful_serving.api.schemas import PredictionAnswer
from handful_serving.domain.auth import ApiKey, digest_of
from handful_serving.domain.predictor import Pipeline
from handful_serving.server.protocols import BoundedWebSocketProtocol
from support.live_serving import LiveServing

FIVE = encode(picture({(2, 3): "5"}))
LIMITS = {"live_connections": 2, "live_frame_bytes": 50_000, "live_max_pixels": 10_000, "face_blur": "off"}


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServing]:
    root = tmp_path_factory.mktemp("live")
    with LiveServing(root / "home", settings=LIMITS | {"live_fps": 1000, "live_idle_seconds": 20}) as live:
        live.mlflow.register(build_package(root / "one"), aliases=["champion"])
        live.mlflow.register(build_package(root / "two", "nms_free", sharpness=8.0))
        leaves = build_package(root / "leaves", "logits", name="leaves", limits=True)
        live.mlflow.register(leaves, "leaves", ["champion"])
        live.wait_until_ready()
        yield live


@contextmanager
def opened(serving: LiveServing, query: str = "", **options: Any) -> Iterator[ClientConnection]:
    address = serving.url.replace("http", "ws") + "/ws/predict" + query
    with connect(address, compression=None, **options) as socket:
        yield socket


def heard(socket: ClientConnection) -> dict[str, Any]:
    return dict(json.loads(socket.recv(timeout=30)))


def frame(sequence: int, data: bytes = FIVE, captured: float = 12.5) -> bytes:
    return struct.pack(">Id", sequence, captured) + data


def test_frames_are_answered_with_sequence_and_time(serving: LiveServing) -> None:
    with opened(serving) as socket:
        ready = heard(socket)
        assert (ready["type"], ready["protocol"]) == ("ready", 1)
        assert ready["limits"] == {"frame_bytes": 50_000, "pixels": 10_000, "fps": 1000, "idle_seconds": 20}
        for sequence in (7, 8):
            socket.send(frame(sequence, captured=sequence + 0.25))
            answer = heard(socket)
            assert answer["type"] == "result"
            assert (answer["sequence"], answer["captured"], answer["dropped"]) == (sequence, sequence + 0.25, 0)
            assert (answer["count"], answer["version"]) == (5, 1)
            assert answer["detections"][0]["box"] == [16, 24, 24, 32]
            assert answer["request_id"].endswith(f"-{sequence}")


def test_each_frame_is_answered_once_and_the_newest_wins(serving: LiveServing) -> None:
    with opened(serving) as socket:
        heard(socket)
        for sequence in range(60):
            socket.send(frame(sequence))
        answers = [heard(socket) for _ in range(60)]
    assert sorted(answer["sequence"] for answer in answers) == list(range(60))
    results = [answer["sequence"] for answer in answers if answer["type"] == "result"]
    assert results == sorted(results)
    assert results[-1] == 59, "the newest is answered"
    dropped = [answer for answer in answers if answer["type"] == "dropped"]
    assert len(results) + len(dropped) == 60
    assert [answer["dropped"] for answer in dropped] == list(range(1, len(dropped) + 1))


def test_settings_belong_to_a_connection(serving: LiveServing) -> None:
    with opened(serving, "?confidence=0.96") as strict, opened(serving) as other:
        assert heard(strict)["settings"]["confidence"] == 0.96
        heard(other)
        strict.send(frame(1))
        other.send(frame(1))
        assert heard(strict)["count"] == 0
        assert heard(other)["count"] == 5
        strict.send(json.dumps({"version": 2}))
        settings = heard(strict)
        assert (settings["type"], settings["version"], settings["confidence"]) == ("settings", 2, 0.96)
        strict.send(frame(2))
        other.send(frame(2))
        answer = heard(strict)
        assert (answer["version"], answer["count"]) == (2, 5)
        assert heard(other)["version"] == 1


def test_a_classifier_answers_live_with_as_much_as_is_asked_for(serving: LiveServing) -> None:
    leaf = encode(filled("3"))
    with opened(serving, "?model=leaves&top=2") as socket:
        settings = heard(socket)["settings"]
        assert (settings["top"], settings["explain"]) == (2, False)
        socket.send(frame(1, leaf))
        answer = heard(socket)
        assert (answer["top"][0]["name"], len(answer["top"])) == ("3", 2)
        assert (answer["prediction_set"], answer["out_of_distribution"]) == (["3"], False)
        assert "explanation" not in answer
        socket.send(json.dumps({"explain": True, "top": None}))
        settings = heard(socket)
        assert (settings["type"], settings["top"], settings["explain"]) == ("settings", 5, True)
        socket.send(frame(2, leaf))
        answer = heard(socket)
        assert (answer["explanation"]["name"], len(answer["top"])) == ("3", 5)
        # null goes back to the default, whatever kind it is of.
        socket.send(json.dumps({"explain": None, "model": None, "return_image": None}))
        assert heard(socket)["explain"] is False
        socket.send(frame(3))
        assert heard(socket)["count"] == 5
        socket.send(json.dumps({"top": 0}))
        assert "top is wrong" in heard(socket)["problem"]["detail"]


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("no json", "bad-parameter"),
        ("[1]", "bad-parameter"),
        pytest.param("[" * 40_000, "bad-parameter", id="brackets in brackets"),
        ('{"confidence": 2}', "bad-parameter"),
        ('{"conf": 0.5}', "bad-parameter"),
        ('{"model": "nobody"}', "unknown-model"),
        (b"short", "bad-parameter"),
        (frame(3, b"no image"), "not-an-image"),
        (frame(3, FIVE[:60]), "damaged-image"),
        (frame(3, encode(picture({}, size=(200, 200)))), "image-too-large"),
    ],
)
def test_what_is_wrong_is_told_and_the_connection_goes_on(
    serving: LiveServing, message: str | bytes, kind: str
) -> None:
    with opened(serving) as socket:
        heard(socket)
        socket.send(message)
        answer = heard(socket)
        assert (answer["type"], answer["fatal"]) == ("error", False)
        assert answer["problem"]["type"] == f"urn:handful:problem:{kind}"
        socket.send(frame(4))
        assert heard(socket)["type"] == "result"


def test_a_frame_on_which_serving_itself_fails_is_answered_too(
    serving: LiveServing, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    with opened(serving) as socket:
        heard(socket)
        with monkeypatch.context() as patch:
            patch.setattr(Pipeline, "predict", broken)
            socket.send(frame(1))
            answer = heard(socket)
        assert (answer["type"], answer["sequence"], answer["fatal"]) == ("error", 1, False)
        assert answer["problem"]["type"] == "urn:handful:problem:internal"
        assert "ZeroDivisionError" in answer["problem"]["detail"]
        assert "Traceback" in caplog.text
        socket.send(frame(2))
        assert heard(socket)["type"] == "result"


def test_not_a_number_is_no_time(serving: LiveServing) -> None:
    with opened(serving) as socket:
        heard(socket)
        for captured in (float("nan"), float("inf")):
            socket.send(frame(1, captured=captured))
            assert heard(socket)["captured"] == 0


def closed(socket: ClientConnection) -> tuple[dict[str, Any] | None, int]:
    """The last message and the code that follows it."""
    last = None
    try:
        while True:
            last = heard(socket)
    except ConnectionClosed as end:
        return last, end.rcvd.code if end.rcvd else 0


def test_a_frame_that_is_too_large_ends_it(serving: LiveServing) -> None:
    with opened(serving) as socket:
        heard(socket)
        socket.send(frame(1, b"x" * 60_000))
        assert closed(socket)[1] == 1009


def test_connections_are_limited(serving: LiveServing) -> None:
    with opened(serving) as one, opened(serving) as two:
        heard(one)
        heard(two)
        with opened(serving) as three:
            last, code = closed(three)
        assert last is not None
        assert (last["type"], last["fatal"], code) == ("error", True, 1013)
        assert "2 live connections are open" in last["problem"]["detail"]


@pytest.mark.parametrize("origin", ["http://evil.example", "http://[", "null"])
def test_a_foreign_page_may_not_connect(serving: LiveServing, origin: str) -> None:
    with opened(serving, origin=origin) as socket:
        last, code = closed(socket)
    assert last is not None
    assert (last["problem"]["status"], code) == (403, 1008)
    with opened(serving, origin=serving.url) as socket:
        assert heard(socket)["type"] == "ready"


def test_a_wrong_parameter_is_told(serving: LiveServing) -> None:
    with opened(serving, "?confidence=7") as socket:
        last, code = closed(socket)
    assert last is not None
    assert (last["problem"]["status"], code) == (400, 1008)


def test_an_idle_connection_is_closed(tmp_path: Path) -> None:
    with LiveServing(tmp_path / "home", settings=LIMITS | {"live_idle_seconds": 0.2}) as serving:
        serving.mlflow.register(build_package(tmp_path / "one"), aliases=["champion"])
        serving.wait_until_ready()
        with opened(serving) as socket:
            assert heard(socket)["type"] == "ready"
            assert closed(socket) == (None, 4000)


def test_keys_come_as_a_subprotocol(tmp_path: Path) -> None:
    KeyFile(tmp_path / "home" / "keys.json").write([ApiKey("me", digest_of("secret"), frozenset({"predict"}))])
    with LiveServing(tmp_path / "home", settings=LIMITS | {"auth": "on"}) as serving:
        with opened(serving) as socket:
            last, code = closed(socket)
            assert last is not None
            assert (last["problem"]["status"], code) == (401, 1008)
        with opened(serving, subprotocols=["handful.v1", "key.secret"]) as socket:
            assert socket.subprotocol == "handful.v1"
            assert heard(socket)["type"] == "ready"
        with opened(serving, additional_headers={"Authorization": "Bearer secret"}) as socket:
            assert heard(socket)["type"] == "ready"


def test_a_key_that_is_removed_ends_its_connection(tmp_path: Path) -> None:
    keys = KeyFile(tmp_path / "home" / "keys.json")
    mine, other = (ApiKey(name, digest_of(name), frozenset({"predict"})) for name in ("mine", "other"))
    keys.write([mine, other])
    with LiveServing(tmp_path / "home", settings=LIMITS | {"auth": "on"}) as serving:
        serving.mlflow.register(build_package(tmp_path / "one"), aliases=["champion"])
        serving.wait_until_ready()
        with opened(serving, subprotocols=["handful.v1", "key.mine"]) as socket:
            heard(socket)
            socket.send(frame(1))
            assert heard(socket)["type"] == "result"
            keys.write([other])
            sequence = 1
            while True:  # Within a second: the file is looked at as often.
                sequence += 1
                socket.send(frame(sequence))
                answer = heard(socket)
                if answer["type"] != "result":
                    break
            assert (answer["sequence"], answer["fatal"]) == (sequence, True)
            assert answer["problem"]["detail"].startswith("the API key mine was removed")
            assert closed(socket) == (None, 1008)


def test_a_client_that_reads_nothing_is_given_up(
    serving: LiveServing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_connection, "_SEND_SECONDS", 0.3)
    monkeypatch.setattr(BoundedWebSocketProtocol, "seconds", 0.3)
    noise = encode(np.random.default_rng(1).integers(0, 256, (1000, 1000, 3), np.uint8))
    sent = frame(1, noise)
    with (
        LiveServing(tmp_path, settings={"face_blur": "off", "live_frame_bytes": 4_000_000}) as own,
        socket.create_connection(("127.0.0.1", own.port)) as client,
    ):
        own.mlflow.register(build_package(tmp_path / "package"), aliases=["champion"])
        own.wait_until_ready()
        client.sendall(
            b"GET /ws/predict?return_image=true HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        message = b"\x82\xff" + len(sent).to_bytes(8, "big") + bytes(4) + sent
        with pytest.raises(ConnectionError):
            client.sendall(100 * message)
        assert "handful_live_connections 0.0" in httpx.get(f"{own.url}/metrics").text


def test_a_frame_of_padding_does_not_stop_the_others(serving: LiveServing) -> None:
    with opened(serving) as client:
        heard(client)
        client.send(frame(1, b"\xff\xd8" + b"\xff" * 40_000 + b"\xff\xd9"))
        assert heard(client)["problem"]["type"] == "urn:handful:problem:damaged-image"
        client.send(frame(2))
        assert heard(client)["count"] == 5


def test_a_frame_and_an_answer_share_no_name() -> None:
    """A result is both in one object: the clock of a frame would be overwritten by an answer's field of its name."""
    of_frames = {"type", "sequence", "captured", "dropped", "fatal", "problem"}
    assert of_frames.isdisjoint(PredictionAnswer.model_fields)
