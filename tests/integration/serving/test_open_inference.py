"""The Open Inference Protocol, asked by Triton's own client."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator

import httpx
import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from fakes.packages import CLASSES, SURE, build_package, encode, filled, picture
from support.live_serving import LiveServing

PIXELS = picture({(2, 3): "5", (5, 6): "2"})


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServing]:
    root = tmp_path_factory.mktemp("v2")
    with LiveServing(root / "home") as live:
        live.mlflow.register(build_package(root / "one"), aliases=["champion"])
        live.mlflow.register(build_package(root / "two", sharpness=8.0))
        live.mlflow.register(build_package(root / "leaves", "logits", name="leaves"), "leaves", ["champion"])
        live.wait_until_ready()
        yield live


@pytest.fixture
def client(serving: LiveServing) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(f"127.0.0.1:{serving.port}") as asking:
        yield asking


def image_file(*, binary: bool = True) -> triton.InferInput:
    tensor = triton.InferInput("image", [1], "BYTES")
    tensor.set_data_from_numpy(np.array([encode(PIXELS)], dtype=np.object_), binary_data=binary)
    return tensor


def image_pixels(*, binary: bool = True) -> triton.InferInput:
    tensor = triton.InferInput("image", [*PIXELS.shape], "UINT8")
    tensor.set_data_from_numpy(np.ascontiguousarray(PIXELS[:, :, ::-1]), binary_data=binary)
    return tensor


def test_it_tells_of_itself(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("fingers")
    assert client.is_model_ready("fingers", "2")
    assert not client.is_model_ready("fingers", "9")
    assert client.get_server_metadata()["name"] == "handful"
    model = client.get_model_metadata("fingers")
    assert model["inputs"] == [{"name": "image", "datatype": "BYTES", "shape": [1]}]
    assert [output["name"] for output in model["outputs"]] == ["boxes", "scores", "classes", "count"]


@pytest.mark.parametrize("tensor", [image_file(), image_pixels(), image_pixels(binary=False)])
@pytest.mark.parametrize("binary", [True, False])
def test_an_image_is_answered(client: triton.InferenceServerClient, tensor: triton.InferInput, binary: bool) -> None:
    wanted = [triton.InferRequestedOutput(name, binary_data=binary) for name in ("boxes", "classes", "scores", "count")]
    answer = client.infer("fingers", [tensor], outputs=wanted, request_id="mine")
    assert answer.as_numpy("count").tolist() == [7]
    assert sorted(answer.as_numpy("classes").tolist()) == [2, 5]
    assert answer.as_numpy("boxes").shape == (2, 4)
    assert answer.as_numpy("scores") == pytest.approx([SURE, SURE], abs=1e-4)
    assert answer.get_response()["id"] == "mine"
    assert answer.get_response()["model_version"] == "1"


def test_json_carries_an_image_as_base64(serving: LiveServing) -> None:
    tensor = {"name": "image", "shape": [1], "datatype": "BYTES", "data": [base64.b64encode(encode(PIXELS)).decode()]}
    response = httpx.post(f"{serving.url}/v2/models/fingers/infer", json={"inputs": [tensor]}, timeout=30)
    outputs = {output["name"]: output["data"] for output in response.json()["outputs"]}
    assert outputs["count"] == [7]


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
@pytest.mark.parametrize("tensor", [image_file(), image_pixels(binary=False)])
def test_a_request_may_be_packed(client: triton.InferenceServerClient, tensor: triton.InferInput, coding: str) -> None:
    answer = client.infer("fingers", [tensor], request_compression_algorithm=coding)
    assert answer.as_numpy("count").tolist() == [7]


def test_a_misspelt_threshold_is_refused_and_what_others_know_is_not(client: triton.InferenceServerClient) -> None:
    with pytest.raises(triton.InferenceServerException, match="there is no parameter conf: did you mean confidence"):
        client.infer("fingers", [image_file()], parameters={"conf": 0.97})
    other = client.infer("fingers", [image_file()], parameters={"content_type": "np"}, priority=1, timeout=10**6)
    assert other.as_numpy("count").tolist() == [7]


def test_versions_and_parameters_count(client: triton.InferenceServerClient) -> None:
    strict = client.infer("fingers", [image_file()], parameters={"confidence": 0.97})
    assert strict.as_numpy("boxes").shape == (0, 4)
    other = client.infer("fingers", [image_file()], model_version="2", parameters={"confidence": 0.97})
    assert other.as_numpy("count").tolist() == [7]
    assert other.get_response()["model_version"] == "2"


def leaf_files(*names: str, binary: bool = True) -> triton.InferInput:
    tensor = triton.InferInput("image", [len(names)], "BYTES")
    files = [encode(filled(name)) for name in names]
    # JSON has no bytes: there, base64 stands for them.
    elements = files if binary else [base64.b64encode(file) for file in files]
    tensor.set_data_from_numpy(np.array(elements, dtype=np.object_), binary_data=binary)
    return tensor


def leaf_pixels(*names: str, binary: bool = True) -> triton.InferInput:
    pixels = np.stack([filled(name)[:, :, ::-1] for name in names])
    tensor = triton.InferInput("image", [*pixels.shape], "UINT8")
    tensor.set_data_from_numpy(pixels, binary_data=binary)
    return tensor


@pytest.mark.parametrize("names", [("3",), ("3", "0", "5", "3")])
@pytest.mark.parametrize("made", [leaf_files, leaf_pixels])
@pytest.mark.parametrize("binary", [True, False])
def test_a_classifier_gives_probabilities_of_each_image(
    client: triton.InferenceServerClient, names: tuple[str, ...], made: Callable[..., triton.InferInput], binary: bool
) -> None:
    answer = client.infer("leaves", [made(*names, binary=binary)], outputs=None)
    probabilities = answer.as_numpy("probabilities")
    assert probabilities.shape == (len(names), len(CLASSES))
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(len(names)), abs=1e-5)
    assert [CLASSES[first] for first in probabilities.argmax(axis=1)] == list(names)


def test_one_picture_without_a_batch_is_a_batch_of_one(client: triton.InferenceServerClient) -> None:
    tensor = triton.InferInput("image", [64, 64, 3], "UINT8")
    tensor.set_data_from_numpy(np.ascontiguousarray(filled("3")[:, :, ::-1]))
    assert client.infer("leaves", [tensor]).as_numpy("probabilities").shape == (1, len(CLASSES))


def test_a_classifier_tells_that_it_takes_several(client: triton.InferenceServerClient) -> None:
    model = client.get_model_metadata("leaves")
    assert model["inputs"] == [{"name": "image", "datatype": "BYTES", "shape": [-1]}]
    assert model["outputs"] == [{"name": "probabilities", "datatype": "FP32", "shape": [-1, len(CLASSES)]}]


def test_several_images_are_for_classifiers(client: triton.InferenceServerClient) -> None:
    with pytest.raises(
        InferenceServerException, match=r"^\[400\] the detector fingers takes one image a request: send"
    ):
        client.infer("fingers", [leaf_files("3", "0")])
    with pytest.raises(InferenceServerException, match=r"^\[400\] the request has 33 images: send at most 32"):
        client.infer("leaves", [leaf_files(*["3"] * 33)])


def test_an_image_of_several_that_cannot_be_used_is_named(client: triton.InferenceServerClient) -> None:
    tensor = triton.InferInput("image", [3], "BYTES")
    tensor.set_data_from_numpy(np.array([encode(filled("3")), b"no image", encode(filled("0"))], dtype=np.object_))
    with pytest.raises(InferenceServerException, match=r"^\[415\] image 2 of 3: the file is not an image"):
        client.infer("leaves", [tensor])


def test_what_is_wrong_is_told(client: triton.InferenceServerClient) -> None:
    wrong = triton.InferInput("images", [1, 3, 64, 64], "FP32")
    wrong.set_data_from_numpy(np.zeros((1, 3, 64, 64), np.float32))
    with pytest.raises(InferenceServerException, match=r"^\[400\] there is no input images"):
        client.infer("fingers", [wrong])
    with pytest.raises(InferenceServerException, match=r"^\[400\] there is no output masks"):
        client.infer("fingers", [image_file()], outputs=[triton.InferRequestedOutput("masks")])
    with pytest.raises(InferenceServerException, match=r"^\[404\] there is no model nobody"):
        client.infer("nobody", [image_file()])


def raw(body: dict[str, object] | bytes, **headers: str) -> dict[str, object]:
    return {"content": body, "headers": headers} if isinstance(body, bytes) else {"json": body, "headers": headers}


def elements(count: int, data: bytes) -> dict[str, object]:
    """A BYTES tensor of so many elements in binary data."""
    size = {"binary_data_size": len(data)}
    tensor = {"name": "image", "shape": [count], "datatype": "BYTES", "parameters": size}
    head = json.dumps({"inputs": [tensor]}).encode()
    return raw(head + data, **{"Inference-Header-Content-Length": str(len(head))})


@pytest.mark.parametrize(
    "sent",
    [
        raw(b"{"),
        raw({"inputs": []}),
        raw({"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "data": ["not base64!"]}]}),
        raw({"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES"}]}),
        raw({"inputs": [{"name": "image", "shape": [2, 2, 3], "datatype": "UINT8", "data": [1, 2]}]}),
        raw({"inputs": [{"name": "image", "shape": [1, 1, 3], "datatype": "UINT8", "data": [1, "a", 999]}]}),
        raw({"inputs": [{"name": "image", "shape": [-1, -1, 3], "datatype": "UINT8", "data": [1, 2, 3]}]}),
        raw({"inputs": [{"name": "image", "shape": [10**9, 10**9, 3], "datatype": "UINT8", "data": []}]}),
        raw({"inputs": [{"name": "image", "shape": [10**4000, 10**4000, 3], "datatype": "UINT8", "data": []}]}),
        raw({"inputs": [{"name": "image", "shape": [0], "datatype": "BYTES", "data": []}]}),
        raw({"inputs": [{"name": "image", "shape": [], "datatype": "BYTES", "data": []}]}),
        raw({"inputs": [{"name": "image", "shape": [2], "datatype": "BYTES", "data": ["AAAA"]}]}),
        raw({"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "data": ["AAAA", "AAAA"]}]}),
        raw({"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "data": [["AAAA"]]}]}),
        raw({"inputs": [{"name": "image", "shape": [2, 2], "datatype": "BYTES", "data": ["AAAA"] * 4}]}),
        raw({"inputs": [{"name": "image", "shape": [10**9], "datatype": "BYTES", "data": ["AAAA"]}]}),
        raw({"inputs": [{"name": "image", "shape": [10**9, 1, 1, 3], "datatype": "UINT8", "data": [0, 0, 0]}]}),
        raw({"inputs": [{"name": "image", "shape": [0, 8, 8, 3], "datatype": "UINT8", "data": []}]}),
        *(elements(3, data) for data in (b"", b"\x01\x00", b"\x01\x00\x00\x00a" * 2, b"\x01\x00\x00\x00a" * 4)),
        elements(2, b"\xff\xff\xff\xff" * 2),
        raw(b"{}", **{"Inference-Header-Content-Length": "99"}),
        raw(b"{}", **{"Inference-Header-Content-Length": "9" * 5000}),
        {"content": b"{}", "headers": {b"Inference-Header-Content-Length": b"\xb2"}},
        raw(b"{}", **{"Inference-Header-Content-Length": "x"}),
    ],
)
def test_nonsense_is_refused(serving: LiveServing, sent: dict[str, object]) -> None:
    response = httpx.post(f"{serving.url}/v2/models/fingers/infer", timeout=30, **sent)  # type: ignore[arg-type]
    assert response.status_code == 400, response.text
    assert response.json()["type"] == "urn:handful:problem:bad-parameter"


def test_pixels_in_json_are_few(client: triton.InferenceServerClient) -> None:
    """A list of a million numbers is read in one go, while which nobody else is answered."""
    pixels = np.zeros((400, 400, 3), np.uint8)
    tensor = triton.InferInput("image", [*pixels.shape], "UINT8")
    tensor.set_data_from_numpy(pixels, binary_data=False)
    with pytest.raises(InferenceServerException, match="more than 200,000 values: send pixels as binary data"):
        client.infer("fingers", [tensor])
    tensor.set_data_from_numpy(pixels)
    assert client.infer("fingers", [tensor]).as_numpy("count").tolist() == [0]
