"""`handful.Client` against the real serving application, and the notebook's cells."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

import handful
import handful.model
from fakes.packages import build_package, encode, filled, picture, square_box
from handful_core.registry import Registry
from support.live_serving import LiveServing

HAND = picture({(2, 3): "5"})


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServing]:
    root = tmp_path_factory.mktemp("serving")
    serving = LiveServing(root, settings={"default_model": "fingers"})
    serving.mlflow.register(build_package(root / "fingers"), aliases=["champion"])
    leaves = build_package(root / "leaves", "logits", limits=True, name="leaves")
    serving.mlflow.register(leaves, name="leaves", aliases=["champion"])
    with serving:
        serving.wait_until_ready()
        yield serving


@pytest.fixture
def client(serving: LiveServing) -> Iterator[handful.Client]:
    with handful.Client(serving.url) as client:
        yield client


def test_an_answer_is_typed(client: handful.Client, tmp_path: Path) -> None:
    path = tmp_path / "hand.png"
    path.write_bytes(encode(HAND))
    answer = client.predict(path)
    (found,) = answer.detections
    assert (answer.model, answer.version, answer.task, answer.count) == ("fingers", 1, "detect", 5)
    assert (found.name, found.box) == ("5", square_box(2, 3))
    assert (answer.faces, answer.picture) == (0, None)
    assert answer.request_id


def test_every_form_of_an_image_gives_the_same_answer(client: handful.Client) -> None:
    expected = client.predict(encode(HAND)).detections
    assert expected
    assert client.predict(HAND, channel_order="bgr").detections == expected
    assert client.predict(HAND[..., ::-1]).detections == expected
    assert client.predict(Image.fromarray(HAND[..., ::-1])).detections == expected


def test_options_reach_the_server(client: handful.Client) -> None:
    assert client.predict(encode(HAND), confidence=0.99).detections == ()
    leaf = client.predict(encode(filled("3")), model="leaves", top=2, explain=True)
    assert (leaf.name, leaf.task, leaf.count) == ("3", "classify", None)
    assert leaf.top is not None
    assert len(leaf.top) == 2
    assert leaf.explanation is not None
    plain, drawn = client.predict(encode(HAND), return_image=True), client.predict(encode(HAND), annotate=True)
    assert plain.picture is not None
    assert drawn.picture is not None
    assert plain.picture.startswith("data:image/jpeg;base64,")
    assert plain.picture != drawn.picture


def test_models_are_listed(client: handful.Client) -> None:
    first, second = client.models()
    assert (first.name, first.task, first.default, first.aliases) == ("fingers", "detect", True, {"champion": 1})
    assert (second.name, second.versions[0].version, second.versions[0].state) == ("leaves", 1, "served")
    assert client.ready()


def test_faults_are_the_kinds_of_handful(client: handful.Client, serving: LiveServing) -> None:
    with pytest.raises(handful.DataError, match="the image: the file is not an image"):
        client.predict(b"no image")
    with pytest.raises(handful.NotFoundError):
        client.predict(encode(HAND), model="nobody")
    with pytest.raises(handful.ConfigError, match="version"):
        client.predict(encode(HAND), version=1, alias="champion")
    with handful.Client(f"{serving.url}/docs") as wrong, pytest.raises(handful.HandfulError):
        wrong.predict(encode(HAND))


def test_another_server_is_told_apart() -> None:
    def answers(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"hello": "world"})

    with handful.Client("http://elsewhere") as client:
        client._server._http = httpx.Client(base_url="http://elsewhere", transport=httpx.MockTransport(answers))
        with pytest.raises(handful.UnavailableError, match="not as Handful does"):
            client.predict(encode(HAND))


def test_the_notebook_s_cells_run(
    repository: Path, serving: LiveServing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    notebook = json.loads((repository / "docs" / "python.ipynb").read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["metadata"]["language_info"]["name"]) == (4, "python")
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    (tmp_path / "photo.jpg").write_bytes(encode(HAND))  # A PNG, whatever its name says: nothing is lost.
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HANDFUL_SERVER", serving.url)
    registry = partial(Registry, attempts=1, transport=serving.mlflow.transport())
    monkeypatch.setattr(handful.model, "Registry", registry)
    names: dict[str, Any] = {}
    for cell in cells:
        exec(compile(cell, "docs/python.ipynb", "exec"), names)  # noqa: S102  # Our own notebook.
    assert (names["answer"].count, names["model"].predict("photo.jpg").count) == (5, 5)
    assert "fingers version 1 counts 5" in capsys.readouterr().out
    names["client"].close()
