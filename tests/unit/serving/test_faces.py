from __future__ import annotations

from pathlib import Path
from typing import Literal

import matplotlib
import numpy as np
import pytest

from fakes.packages import encode, picture
from handful_core.errors import ConfigError
from handful_core.vision.decode import Pixels, decode_image
from handful_core.vision.preprocess import Floats
from handful_faces import face_blur
from handful_faces.blur import Blur
from handful_faces.centerface import CenterFace
from handful_faces.haar import Haar
from handful_faces.privacy import BlurError
from handful_serving.domain.model_ref import ModelRef
from handful_serving.domain.prediction import PredictOptions
from support.serving_models import ServingModels

Found = Literal["centerface", "haar"]


@pytest.fixture(scope="module")
def portrait() -> Pixels:
    """A photograph of Grace Hopper, which Matplotlib ships: one face, in the upper middle."""
    return decode_image((Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg").read_bytes())


class Everywhere:
    """Finds a face where it was told to."""

    def __init__(self, *faces: tuple[float, float, float, float]) -> None:
        self.faces = np.array(faces, np.float32).reshape(-1, 4)

    def find(self, _: Pixels) -> Floats:
        return self.faces


class Broken:
    def find(self, _: Pixels) -> Floats:
        raise ZeroDivisionError("no")


@pytest.mark.parametrize("finder", [CenterFace(320, 1), Haar(320)], ids=["centerface", "haar"])
def test_a_real_face_is_found(finder: CenterFace | Haar, portrait: Pixels) -> None:
    faces = finder.find(portrait)
    assert len(faces) == 1
    x1, y1, x2, y2 = faces[0].tolist()
    assert (x1, y1) < (250, 130) < (x2, y2), "the nose is inside"
    assert 80 < x2 - x1 < 250


@pytest.mark.parametrize("detector", ["centerface", "haar"])
def test_a_blurred_face_is_found_no_more(detector: Found, portrait: Pixels) -> None:
    blur = face_blur(detector, size=320, strength=6, margin=0.1, threads=1)
    pixels = portrait.copy()
    assert blur(pixels) == 1
    assert blur(pixels) == 0
    assert np.array_equal(pixels[-100:], portrait[-100:]), "the rest is as it was"


@pytest.mark.parametrize("detector", ["centerface", "haar"])
@pytest.mark.parametrize("size", [(1, 1), (1, 4000), (4000, 1), (3, 7), (33, 31)])
def test_odd_sizes_have_no_face(detector: Found, size: tuple[int, int]) -> None:
    blur = face_blur(detector, size=320, strength=6, margin=0.1, threads=1)
    assert blur(np.full((*size, 3), 128, np.uint8)) == 0


def test_strength_and_margin_count() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (100, 100, 3), np.uint8)
    weak, strong, wide = noise.copy(), noise.copy(), noise.copy()
    Blur(Everywhere((20, 20, 60, 60)), 320, 1, 0)(weak)
    Blur(Everywhere((20, 20, 60, 60)), 320, 10, 0)(strong)
    Blur(Everywhere((20, 20, 60, 60)), 320, 10, 0.25)(wide)
    inside = np.s_[20:60, 20:60]
    assert strong[inside].std() < weak[inside].std() < noise[inside].std() / 2
    assert np.array_equal(strong[:20], noise[:20])
    assert not np.array_equal(wide[10:20, 10:70], noise[10:20, 10:70])
    assert np.array_equal(wide[:10], noise[:10])


def test_a_face_at_the_edge_is_cut_there() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (50, 50, 3), np.uint8)
    assert Blur(Everywhere((-30, -30, 20, 20), (45, 45, 90, 90), (60, 60, 70, 70)), 320, 6, 0.1)(pixels) == 3


def test_yunet_asks_for_its_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="set HANDFUL_SERVING_YUNET_MODEL"):
        face_blur("yunet", size=320, strength=6, margin=0.1, threads=1)
    (tmp_path / "no.onnx").write_bytes(b"no")
    with pytest.raises(ConfigError, match="cannot read"):
        face_blur("yunet", size=320, strength=6, margin=0.1, threads=1, yunet_model=tmp_path / "no.onnx")


@pytest.mark.anyio
async def test_the_model_sees_the_blurred_picture(serving: ServingModels) -> None:
    serving.register("champion")
    manager = serving.manager()
    await manager.watcher.poll()
    hand = encode(picture({(2, 3): "5", (6, 6): "2"}))
    blur = Blur(Everywhere((40, 40, 64, 64)), 320, 10, 0.5)
    result = await serving.predictor(manager, blur=blur).predict(hand, ModelRef(), PredictOptions(drawing="plain"))
    assert result.prediction.count == 5, "what lies under the face is not seen"
    assert result.image.faces == 1
    assert result.image.picture is not None
    returned = decode_image(result.image.picture)
    assert returned[52, 52].max() < 120, "nor is it sent back"


@pytest.mark.anyio
async def test_an_image_whose_faces_cannot_be_looked_for_goes_no_further(serving: ServingModels) -> None:
    serving.register("champion")
    manager = serving.manager()
    await manager.watcher.poll()
    predictor = serving.predictor(manager, blur=Blur(Broken(), 320, 6, 0.1))
    with pytest.raises(BlurError, match="ZeroDivisionError"):
        await predictor.predict(encode(picture({})), ModelRef())
    assert serving.observer.predictions == []
    assert predictor.queue.busy == 0
