"""The second look: what it sees, where it lies in the first, and what of it counts."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import avg_pool2d
from ultralytics.nn.tasks import DetectionModel

from handful_trainer.tasks.detection.second_look import LARGE, _in_first, _margin, look_twice


@given(st.integers(1, 60).map(lambda n: n * 32))
def test_what_the_second_look_sees_fits_the_network(side: int) -> None:
    margin = _margin(side)
    seen = side // 2 + 2 * margin
    assert seen % 32 == 0
    assert 0.6 * side <= seen < 0.6 * side + 32


@given(
    centre=st.tuples(st.floats(0, 320), st.floats(0, 320)),
    size=st.tuples(st.floats(1, 320), st.floats(1, 320)),
    margin=st.tuples(st.integers(0, 32), st.integers(0, 32)),
)
def test_a_box_of_the_second_look_lies_where_it_lay_in_the_first(
    centre: tuple[float, float], size: tuple[float, float], margin: tuple[int, int]
) -> None:
    seen = [centre[0] / 2 + margin[0], centre[1] / 2 + margin[1], size[0] / 2, size[1] / 2, 0.75, 0.25]
    (box,) = _in_first(torch.tensor(seen).view(1, 6, 1), margin, 320)[0].T.tolist()
    assert box[:4] == pytest.approx([*centre, *size], abs=1e-3)
    if abs(max(size) - LARGE * 320) > 1e-3:
        assert box[4:] == ([0.75, 0.25] if max(size) > LARGE * 320 else [0, 0])


@pytest.mark.parametrize("name", ["yolo11n", "yolo26n"])
def test_the_first_look_is_the_network_s_own_and_the_second_the_picture_s_at_half_the_size(name: str) -> None:
    torch.manual_seed(0)
    network = DetectionModel(f"{name}.yaml", nc=3, verbose=False).eval()
    network.end2end = False
    image = torch.rand(1, 3, 64, 128)
    with torch.inference_mode():
        before, _ = network(image)
        down, right = _margin(64), _margin(128)
        half = torch.full((1, 3, 32 + 2 * down, 64 + 2 * right), 114 / 255)
        half[:, :, down : down + 32, right : right + 64] = avg_pool2d(image, 2)
        alone, _ = network(half)
        look_twice(network)
        both, _ = network(image)
    assert torch.equal(both[..., : before.shape[-1]], before)
    assert torch.equal(both[..., before.shape[-1] :], _in_first(alone, (right, down), 128))


def test_training_looks_once() -> None:
    network = DetectionModel("yolo11n.yaml", nc=3, verbose=False)
    look_twice(network)
    assert network.train()(torch.rand(1, 3, 64, 64))["boxes"].shape[-1] == 64 + 16 + 4
