"""A graph that runs its network twice, as packages with a second look do."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper, numpy_helper


def looks_twice(image: str = "image", side: int = 32) -> bytes:
    """A graph that runs one convolution with SiLU on an image and on its half, as a package with a second look does.

    Args:
        image: name of the input, (1, 3, side, side).
        side: pixels; even.
    """
    random = np.random.default_rng(0)
    weights = {"w": random.normal(size=(16, 3, 3, 3)), "b": random.normal(size=16)}
    nodes = [helper.make_node("AveragePool", [image], ["half"], kernel_shape=[2, 2], strides=[2, 2])]
    for name, source in (("first", image), ("second", "half")):
        nodes += [
            helper.make_node("Conv", [source, "w", "b"], [f"{name}/conv"], name=f"{name}/conv", pads=[1] * 4),
            helper.make_node("Sigmoid", [f"{name}/conv"], [f"{name}/sigmoid"]),
            helper.make_node("Mul", [f"{name}/conv", f"{name}/sigmoid"], [name], name=f"{name}/silu"),
        ]
    graph = helper.make_graph(
        nodes,
        "twice",
        [helper.make_tensor_value_info(image, TensorProto.FLOAT, [1, 3, side, side])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 16, size, size])
            for name, size in (("first", side), ("second", side // 2))
        ],
        [numpy_helper.from_array(array.astype(np.float32), name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())
