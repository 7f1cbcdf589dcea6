"""`handful promote`, `rollback` and `predict`, as a user calls them."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import httpx
import numpy as np
import pytest

import handful_core.registry
from fakes.packages import build_package, encode, filled, picture
from fakes.registry import FakeMlflow
from handful_core import console
from handful_core.cli.main import main
from handful_core.client import ServingClient
from handful_core.errors import DataError, HandfulError, NotFoundError, UnavailableError
from handful_core.package import zip_package
from handful_core.registry import Registry

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def handful(capsys: pytest.CaptureFixture[str]) -> Run:
    def running(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(list(words))
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return running


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch) -> FakeMlflow:
    fake = FakeMlflow()
    monkeypatch.setattr(handful_core.registry, "Registry", partial(Registry, attempts=1, transport=fake.transport()))
    return fake


@pytest.fixture
def hand(tmp_path: Path) -> Path:
    path = tmp_path / "hand.png"
    path.write_bytes(encode(picture({(2, 3): "5"})))
    return path


def test_promote_and_rollback_move_the_alias(handful: Run, mlflow: FakeMlflow) -> None:
    for _ in range(3):
        mlflow.register(None)
    told = "fingers: version 1 is champion; a running server takes it up by itself\n"
    told += "next: handful predict photo.jpg --model fingers\n"
    assert handful("promote", "fingers", "1") == (0, "", told)
    status, out, _ = handful("promote", "fingers", "3", "--json")
    assert (status, json.loads(out)) == (0, {"model": "fingers", "champion": 3})
    assert handful("rollback", "fingers") == (0, "", told)
    status, _, err = handful("rollback", "fingers")
    assert (status, err.count("\n")) == (8, 1), "a second rollback does not bring the bad version back"
    assert "bring version 3 back" in err
    assert "handful promote fingers 3" in err


def test_what_is_not_registered_is_told(handful: Run, mlflow: FakeMlflow) -> None:
    mlflow.register(None)
    status, _, err = handful("promote", "fingers", "9")
    assert (status, err.count("\n")) == (7, 1)
    assert "version=9" in err
    assert handful("rollback", "fingers")[0] == 7
    mlflow.away = True
    status, _, err = handful("rollback", "fingers")
    assert (status, err.count("\n")) == (5, 1)


def test_models_are_listed_with_their_champion(
    handful: Run, mlflow: FakeMlflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console.out, "width", 200)
    status, out, err = handful("models")
    assert (status, out) == (0, "")
    assert "has no models yet: `handful train" in err
    tags = {"task": "detect", "metrics.mAP50_95": "0.9314", "metrics.f1": "0.5", "metrics.odd": "much"}
    for _ in range(2):
        mlflow.register(None, tags=tags)
    mlflow.register(None, name="leaves")
    mlflow.point("champion", 2)
    status, out, _ = handful("models")
    lines = {name: line for line in out.splitlines() for name in ("fingers", "leaves") if name in line}
    assert status == 0
    assert all(words in lines["fingers"] for words in ("detect", "version 2", "mAP50_95 0.931, f1 0.500"))
    assert "none" in lines["leaves"]
    mlflow.register(None, tags={"task": "classify"})  # Newer than the champion.
    assert "detect" in next(line for line in handful("models")[1].splitlines() if "fingers" in line)
    mlflow.forget()
    for _ in range(2):
        mlflow.register(None, tags=tags)
    mlflow.point("champion", 2)
    first, second = json.loads(handful("models", "--json")[1])
    assert (first["name"], first["aliases"], len(first["versions"])) == ("fingers", {"champion": 2}, 2)
    assert (first["versions"][0]["version"], first["versions"][0]["metrics"]) == (2, {"mAP50_95": 0.9314, "f1": 0.5})
    assert second["name"] == "leaves"


def test_a_registered_package_answers_right_here(handful: Run, mlflow: FakeMlflow, hand: Path, tmp_path: Path) -> None:
    mlflow.register(build_package(tmp_path / "package"), aliases=["champion"])
    status, out, _ = handful("predict", str(hand), "--package", "models:/fingers@champion", "--json")
    assert (status, json.loads(out)["count"]) == (0, 5)
    status, _, err = handful("predict", str(hand), "--package", "models:/fingers/7")
    assert (status, "version=7" in err) == (7, True)


def test_a_model_s_versions_are_listed(handful: Run, mlflow: FakeMlflow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console.out, "width", 200)
    mlflow.register(None, tags={"gate.decision": "kept", "dataset": "hands"})
    status, out, err = handful("models", "fingers")
    assert status == 0
    assert "kept" in out
    assert "hands" in out
    assert "next: `handful promote fingers 1`" in err
    mlflow.point("champion", 1)
    assert "next" not in handful("models", "fingers")[2]
    assert handful("models", "nobody")[0] == 7
    mlflow.away = True
    assert (handful("models")[0], handful("runs")[0]) == (5, 5)


@pytest.mark.parametrize("as_zip", [False, True])
def test_predict_runs_a_package(handful: Run, tmp_path: Path, hand: Path, as_zip: bool) -> None:
    package = build_package(tmp_path / "package")
    path = zip_package(package, tmp_path / "package.zip") if as_zip else package.root
    status, out, _ = handful("predict", str(hand), str(hand), "--package", str(path), "--json")
    answers = [json.loads(line) for line in out.splitlines()]
    assert (status, len(answers)) == (0, 2)
    assert (answers[0]["version"], answers[0]["package"]) == (None, package.digest)
    assert (answers[0]["file"], answers[0]["model"], answers[0]["count"]) == (str(hand), "fingers", 5)
    assert answers[0]["detections"][0]["box"] == [16, 24, 24, 32]
    status, out, _ = handful("predict", str(hand), "--package", str(path), "--confidence", "0.99")
    assert status == 0
    assert "nothing" in out
    assert f"fingers, package {package.digest[:12]} of {package.manifest.created[:10]}" in out


def test_predict_tells_a_classifiers_best_classes(handful: Run, tmp_path: Path) -> None:
    package = build_package(tmp_path / "package", "probabilities")
    leaf = tmp_path / "leaf.png"
    leaf.write_bytes(encode(filled("3")))
    status, out, _ = handful("predict", str(leaf), "--package", str(package.root))
    assert status == 0
    assert "3 0.9" in out


def test_predict_tells_what_a_classifier_doubts(handful: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(console.out, "width", 200)  # No cell is folded.
    package = str(build_package(tmp_path / "package", "logits", limits=True).root)
    leaf, orange = Path("leaf.png"), Path("orange.png")
    leaf.write_bytes(encode(filled("3")))
    orange.write_bytes(encode(np.full((64, 64, 3), (0, 110, 255), np.uint8)))
    status, out, _ = handful("predict", str(leaf), str(orange), "--package", package, "--json", "--top", "2")
    first, second = map(json.loads, out.splitlines())
    assert status == 0
    assert [len(first["top"]), len(first["probabilities"])] == [2, 7]
    assert (first["prediction_set"], first["uncertain"], first["out_of_distribution"]) == (["3"], False, False)
    assert second["out_of_distribution"] is True
    assert "explanation" not in first
    _, out, _ = handful("predict", str(leaf), str(orange), "--package", package, "--top", "1")
    lines = {name: line for line in out.splitlines() for name in ("leaf.png", "orange.png") if name in line}
    assert "3 0.9" in lines["leaf.png"]
    assert "unlike the training images" in lines["orange.png"]
    assert "unlike" not in lines["leaf.png"]
    assert ", " not in lines["leaf.png"], "one class was asked for"
    _, out, _ = handful("predict", str(leaf), "--package", package, "--confidence", "0.99999")
    assert "not certain" in out


def test_predict_shows_where_a_class_is_seen(handful: Run, tmp_path: Path, hand: Path) -> None:
    package = str(build_package(tmp_path / "package", "logits", limits=True).root)
    pixels = filled("3")
    pixels[:, 48:] = filled("4")[:, 48:]
    leaf = tmp_path / "leaf.png"
    leaf.write_bytes(encode(pixels))
    _, out, _ = handful("predict", str(leaf), "--package", package, "--json", "--explain")
    shown = json.loads(out)["explanation"]
    assert (shown["name"], len(shown["values"]), shown["values"][0][0]) == ("3", 8, 1.0)
    _, out, _ = handful("predict", str(leaf), "--package", package, "--explain")
    assert out.count("  @@@@@@@@@@@@") == 8
    assert "where it sees 3" in out
    detector = str(build_package(tmp_path / "detector").root)
    status, out, err = handful("predict", str(hand), "--package", detector, "--explain", "--json")
    assert (status, json.loads(out)["count"]) == (0, 5)
    assert err.startswith("no answer has a map")


@pytest.mark.parametrize("top", ["0", "101", "many"])
def test_predict_takes_a_sensible_number_of_classes(handful: Run, hand: Path, top: str) -> None:
    status, _, err = handful("predict", str(hand), "--top", top)
    assert status == 2
    assert "--top" in err


def test_predict_tells_what_is_wrong_with_a_file(handful: Run, tmp_path: Path, hand: Path) -> None:
    package = str(build_package(tmp_path / "package").root)
    (tmp_path / "text.png").write_text("text")
    status, _, err = handful("predict", str(hand), str(tmp_path / "text.png"), "--package", package)
    assert (status, err.count("\n")) == (3, 1)
    assert "text.png: the file is not an image" in err
    status, _, err = handful("predict", str(tmp_path / "gone.png"), "--package", package)
    assert (status, "gone.png cannot be read (No such file or directory)" in err) == (3, True)
    assert handful("predict", str(hand), "--package", str(tmp_path / "gone"))[0] == 4
    assert handful("predict", str(hand), "--package", package, "--model", "x")[0] == 2


def server_that(answers: Callable[[httpx.Request], httpx.Response]) -> ServingClient:
    server = ServingClient("http://serving:8000/")
    server._http = httpx.Client(base_url=server.address, transport=httpx.MockTransport(answers))
    return server


def test_a_server_is_asked(hand: Path) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/predict"
        assert dict(request.url.params) == {"version": "3", "confidence": "0.5"}
        assert hand.read_bytes() in request.content
        return httpx.Response(200, json={"count": 5})

    with server_that(answer) as server:
        assert server.predict(hand, model=None, version=3, confidence=0.5) == {"count": 5}


@pytest.mark.parametrize(
    ("status", "kind"),
    [(404, NotFoundError), (422, DataError), (413, DataError), (500, HandfulError), (503, UnavailableError)],
)
def test_a_servers_problem_is_told_in_its_words(hand: Path, status: int, kind: type[Exception]) -> None:
    with (
        server_that(lambda _: httpx.Response(status, json={"detail": "what is wrong"})) as server,
        pytest.raises(kind, match=r"hand\.png: what is wrong"),
    ):
        server.predict(hand)


def test_a_server_that_is_away_is_told_of(hand: Path) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("Connection refused", request=request)

    with server_that(refuse) as server:
        for ask in (lambda: server.predict(hand), server.readiness):
            with pytest.raises(UnavailableError, match=r"http://serving:8000 does not answer .*handful serve"):
                ask()


@pytest.mark.parametrize(
    ("response", "words"),
    [
        (httpx.Response(200, json={"status": "ready"}), "ready"),
        (httpx.Response(503, json={"detail": "no model"}), "not ready: no model"),
    ],
)
def test_readiness(response: httpx.Response, words: str) -> None:
    assert ServingClient.readiness(server_that(lambda _: response)) == words


@pytest.mark.parametrize(
    "response",
    [
        httpx.Response(200, text="<html>"),
        httpx.Response(404, text="<html>Directory listing</html>"),
        httpx.Response(502, text="<html>"),
        httpx.Response(500, json=[1]),
    ],
)
def test_what_is_no_serving_is_not_ready(response: httpx.Response) -> None:
    with pytest.raises(UnavailableError, match="answers, but not as Handful does"):
        server_that(lambda _: response).readiness()
