"""The embedding of a detector's graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from handful_core.package import ExtraOutput
from handful_trainer.tasks.detection.embedding import add_embedding

_SHAPE = (1, 3, 4, 6)


def _write(path: Path, nodes: list[onnx.NodeProto]) -> Path:
    """A graph from `images` to `output0`, both of one shape."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, _SHAPE) for name in ("images", "output0")]
    model = helper.make_model(
        helper.make_graph(nodes, "graph", ends[:1], ends[1:]),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=9,
    )
    onnx.save(model, path)
    return path


def _node(layer: int, kind: str, given: list[str], made: str) -> onnx.NodeProto:
    return helper.make_node(kind, given, [made], name=f"/model.{layer}/{kind}_{made}")


def _chain(prefix: str = "") -> list[onnx.NodeProto]:
    """Layers 0 to 2; layer 1 hands `doubled` on to two nodes."""
    nodes = [
        _node(0, "Relu", ["images"], "first"),
        _node(1, "Neg", ["first"], "inner"),
        _node(1, "Sub", ["first", "inner"], "doubled"),
        _node(2, "Sigmoid", ["doubled"], "seen"),
        _node(2, "Add", ["seen", "doubled"], "output0"),
    ]
    for node in nodes:
        node.name = prefix + node.name
    return nodes


@pytest.mark.parametrize("prefix", ["", "/model"])
def test_the_mean_of_a_layer_s_map_comes_out_and_the_answer_stays(tmp_path: Path, prefix: str) -> None:
    path = _write(tmp_path / "model.onnx", _chain(prefix))
    images = np.random.default_rng(0).normal(size=_SHAPE).astype(np.float32)
    (before,) = ort.InferenceSession(path).run(None, {"images": images})
    assert add_embedding(path, 1) == ExtraOutput(name="embedding", shape=(1, 3))
    after, embedding = ort.InferenceSession(path).run(["output0", "embedding"], {"images": images})
    assert np.array_equal(before, after)
    np.testing.assert_allclose(embedding, 2 * np.maximum(images, 0).mean(axis=(2, 3)), rtol=1e-5)


def test_a_graph_whose_layer_hands_on_two_maps_stays_as_it_is(tmp_path: Path) -> None:
    nodes = _chain()
    nodes[3] = _node(2, "Sigmoid", ["inner"], "seen")
    path = _write(tmp_path / "model.onnx", nodes)
    before = path.read_bytes()
    assert add_embedding(path, 1) is None
    assert path.read_bytes() == before


def test_a_graph_without_such_a_layer_stays_as_it_is(tmp_path: Path) -> None:
    path = _write(tmp_path / "model.onnx", _chain())
    before = path.read_bytes()
    assert add_embedding(path, 10) is None
    assert path.read_bytes() == before


def test_vectors_are_no_map(tmp_path: Path) -> None:
    nodes = _chain()
    nodes[2:3] = [_node(1, "Sub", ["first", "inner"], "plain"), _node(1, "Flatten", ["plain"], "doubled")]
    nodes[-1] = helper.make_node("Identity", ["plain"], ["output0"], name="/model.1/Identity")
    nodes.append(_node(2, "Relu", ["seen"], "unused"))
    path = _write(tmp_path / "model.onnx", nodes)
    assert add_embedding(path, 1) is None
