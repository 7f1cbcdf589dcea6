"""Which backend runs a model: what is asked for, or what is faster here and gives the same answers."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fakes.packages import allowing, build_package, damage, encode, picture, proved
from fakes.registry import FakeMlflow
from handful_core.errors import ConfigError
from handful_core.package import Golden, Package, write_package
from handful_core.package.archive import describe_files
from handful_core.package.errors import GoldenError
from handful_core.runtime.execution import Execution
from handful_core.runtime.model import VisionModel, load_model
from handful_core.runtime.onnx import OnnxSession
from handful_core.runtime.openvino import is_installed
from handful_core.settings import load
from handful_core.vision.decode import Pixels
from handful_core.vision.preprocess import Floats
from handful_serving.adapters import backends
from handful_serving.adapters.backend_benchmark import (
    BackendChoice,
    BenchmarkCache,
    Latency,
    benchmark_backends,
    choose_backend,
)
from handful_serving.adapters.backends import Benchmark, BenchmarkedOpener, model_opener
from handful_serving.settings import ServingSettings
from support.serving_app import make_app, running

ORT, OPENVINO = Execution("onnxruntime"), Execution("openvino")
needs_openvino = pytest.mark.skipif(not is_installed(), reason="OpenVINO is not installed: pip install openvino")


class Other(OnnxSession):
    """In OpenVINO's slot, where OpenVINO itself is not what is looked at."""

    backend = "openvino"


class Inexact(Other):
    """Answers a little otherwise, as a backend of lower precision does."""

    def run(self, tensor: Floats) -> Floats:
        return super().run(tensor) * np.float32(0.95)


class Unloadable(Other):
    def __init__(self, package: Package, threads: int) -> None:
        raise ConfigError("OpenVINO cannot be loaded (no libtbb)")


class FixedLatencies:
    """Gives latencies, and counts how often it was asked."""

    def __init__(self, openvino: float) -> None:
        self.openvino = openvino
        self.runs = 0

    def __call__(
        self, models: Mapping[Execution, VisionModel], pixels: Pixels, threads: int
    ) -> dict[Execution, Latency]:
        assert list(models) == [ORT, OPENVINO]
        assert [model.backend for model in models.values()] == ["onnxruntime", "openvino"]
        self.runs += 1
        return {ORT: Latency(10, 10), OPENVINO: Latency(self.openvino, self.openvino)}


def opener(
    threads: int, cache: BenchmarkCache, other: type[OnnxSession], benchmark: Benchmark, **settings: Any
) -> BenchmarkedOpener:
    """With a session in OpenVINO's slot."""
    sessions = {"onnxruntime": OnnxSession, "openvino": other}
    return BenchmarkedOpener(
        threads, cache, benchmark=benchmark, sessions=lambda execution: sessions[execution.backend], **settings
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return build_package(tmp_path / "package").root


@pytest.mark.parametrize(
    ("openvino", "chosen"),
    [
        (Latency(8.9, 5), "openvino"),
        (Latency(9.1, 5), "onnxruntime"),  # Not by a clear margin.
        (Latency(5, 5.1), "onnxruntime"),  # Slower under load.
        (Latency(20, 3), "onnxruntime"),
    ],
)
def test_openvino_is_kept_only_if_it_is_clearly_faster(openvino: Latency, chosen: str) -> None:
    choice = choose_backend({ORT: Latency(10, 5), OPENVINO: openvino})
    assert choice.backend == chosen
    assert f"OpenVINO {openvino.alone:.1f} ms alone, {openvino.together:.1f} ms an image under load" in choice.why
    assert "ONNX Runtime 10.0 ms alone, 5.0 ms" in choice.why


def test_a_package_is_measured_twice_on_a_machine(
    tmp_path: Path, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    runs, told = FixedLatencies(openvino=5), []
    for _ in range(4):
        caplog.clear()
        assert opener(2, BenchmarkCache(tmp_path / "backends.json"), Other, runs)(folder).backend == "openvino"
        assert "fingers runs in openvino (ONNX Runtime 10.0 ms alone" in caplog.text
        told.append("measured once more when it is loaded again" in caplog.text)
    assert runs.runs == 2
    assert told == [True, False, False, False]
    cache = BenchmarkCache(tmp_path / "backends.json")
    opener(1, cache, Other, runs)(folder)  # With other threads it may be otherwise.
    assert runs.runs == 3
    opener(2, cache, Other, runs)(build_package(tmp_path / "another", sharpness=5.0).root)
    assert runs.runs == 4


def test_the_slower_one_is_let_go_and_that_is_remembered(tmp_path: Path, folder: Path) -> None:
    cache, runs = BenchmarkCache(tmp_path / "backends.json"), FixedLatencies(openvino=9.5)
    for _ in range(3):
        assert opener(2, cache, Other, runs)(folder).backend == "onnxruntime"
    assert runs.runs == 2


def test_a_choice_of_a_busy_moment_does_not_stay(tmp_path: Path, folder: Path) -> None:
    cache = BenchmarkCache(tmp_path / "backends.json")
    runs = []
    for latency in (9.9, 5, 5, 9.9):
        latencies = FixedLatencies(openvino=latency)
        runs.append(opener(2, cache, Other, latencies)(folder).backend)
    assert runs == ["onnxruntime", "openvino", "openvino", "openvino"]
    assert latencies.runs == 0, "two measurements agreed: that is settled"


def test_a_backend_that_misses_the_golden_answer_is_not_taken(
    tmp_path: Path, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    runs = FixedLatencies(openvino=1)
    model = opener(2, BenchmarkCache(tmp_path / "backends.json"), Inexact, runs)(folder)
    assert (model.backend, runs.runs) == ("onnxruntime", 0)
    assert "OpenVINO: model fingers does not give the expected answer on its golden image" in caplog.text


def test_without_a_golden_image_there_is_nothing_to_hold_it_to(tmp_path: Path) -> None:
    runs = FixedLatencies(openvino=1)
    none = build_package(tmp_path / "none", golden=False)
    empty = build_package(tmp_path / "empty")
    (empty.root / "golden.png").write_bytes(encode(picture({})))
    manifest = empty.manifest.model_copy(update={"golden": Golden(image="golden.png")})
    empty = write_package(empty.root, manifest.model_copy(update={"files": describe_files(empty.root)}))
    for package in (none, empty):
        model = opener(2, BenchmarkCache(tmp_path / "backends.json"), Other, runs)(package.root)
        assert (model.backend, runs.runs) == ("onnxruntime", 0)


def test_what_was_chosen_and_works_no_more_is_measured_again(tmp_path: Path, folder: Path) -> None:
    cache, runs = BenchmarkCache(tmp_path / "backends.json"), FixedLatencies(openvino=5)
    opener(2, cache, Other, runs)(folder)
    assert opener(2, cache, Inexact, runs)(folder).backend == "onnxruntime"
    assert opener(2, cache, Other, runs)(folder).backend == "onnxruntime"  # As noted now.


def test_an_openvino_that_cannot_be_loaded_keeps_nothing_down(tmp_path: Path, folder: Path) -> None:
    cache, runs = BenchmarkCache(tmp_path / "backends.json"), FixedLatencies(openvino=5)
    assert opener(2, cache, Unloadable, runs)(folder).backend == "onnxruntime"
    assert opener(2, cache, Other, runs)(folder).backend == "openvino"  # Once it can, it is measured.


def test_a_bad_package_is_refused_as_ever(tmp_path: Path, folder: Path) -> None:
    damage(folder, "golden")
    with pytest.raises(GoldenError):
        opener(2, BenchmarkCache(tmp_path / "backends.json"), Other, FixedLatencies(openvino=5))(folder)


@pytest.mark.parametrize("content", ["", "[]", '{"key": 1}', '{"key": {"backend": "tvm", "why": ""}}', "\udcff"])
def test_a_spoilt_cache_is_forgotten(tmp_path: Path, content: str) -> None:
    path = tmp_path / "backends.json"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    cache = BenchmarkCache(path)
    assert cache.get("key") is None
    cache.put("key", BackendChoice("openvino", "faster"))
    assert cache.get("key") == BackendChoice("openvino", "faster")


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache = BenchmarkCache(tmp_path / "missing" / "backends.json")
    cache.put("key", BackendChoice("openvino", "faster"))
    assert cache.get("key") is None
    assert "cannot be noted" in caplog.text


@pytest.mark.parametrize("threads", [1, 2])
def test_the_benchmark_tells_the_slower_one(folder: Path, tmp_path: Path, threads: int) -> None:
    class Slow(Other):
        def run(self, tensor: Floats) -> Floats:
            time.sleep(0.02)
            return super().run(tensor)

    package = build_package(tmp_path / "p")
    models = {ORT: load_model(package, 1), OPENVINO: load_model(package, 1, Slow)}
    latencies = benchmark_backends(models, picture({}), threads)
    assert latencies[OPENVINO].alone >= 20
    assert latencies[OPENVINO].together >= 20 / threads
    assert 0 < latencies[ORT].alone < latencies[OPENVINO].alone
    assert 0 < latencies[ORT].together < latencies[OPENVINO].together


def test_without_openvino_nothing_is_measured(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert model_opener("auto", 1, tmp_path)(folder).backend == "onnxruntime"
    assert not (tmp_path / "backends.json").exists()


def test_openvino_that_is_asked_for_and_missing_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ConfigError, match="OpenVINO is not installed: install it with: pip install openvino"):
        make_app(tmp_path, FakeMlflow(), inference_backend="openvino")


def test_another_word_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANDFUL_SERVING_INFERENCE_BACKEND", "tensorrt")
    with pytest.raises(ConfigError) as caught:
        load(ServingSettings)
    assert str(caught.value) == (
        "the environment variable HANDFUL_SERVING_INFERENCE_BACKEND is wrong "
        "(Input should be 'auto', 'onnxruntime' or 'openvino'): correct or unset it"
    )
    monkeypatch.setenv("HANDFUL_SERVING_INFERENCE_BACKEND", "OpenVINO")
    assert load(ServingSettings).inference_backend == "openvino"


class Lower(FixedLatencies):
    """Latencies by name, in whatever the package allows."""

    def __init__(self, **latencies: float) -> None:
        super().__init__(0)
        self.latencies = {"onnxruntime": 10.0, "openvino": 10.0} | latencies

    def __call__(
        self, models: Mapping[Execution, VisionModel], pixels: Pixels, threads: int
    ) -> dict[Execution, Latency]:
        self.runs += 1
        self.measured = [str(execution) for execution in models]
        return {each: Latency(*[self.latencies[str(each).replace(" ", "_")]] * 2) for each in models}


def allowed(tmp_path: Path, *entries: dict[str, Any]) -> Path:
    return allowing(build_package(tmp_path / "allowed"), *(entries or [proved()])).root


@pytest.mark.parametrize(
    ("latencies", "chosen"),
    [
        ({"openvino_bf16": 8.9}, ("openvino", "bf16")),
        ({"openvino_bf16": 9.1}, ("onnxruntime", "fp32")),  # What is lost is not lost for nothing.
        ({"openvino": 5, "openvino_bf16": 4.6}, ("openvino", "fp32")),
        ({"openvino": 5, "openvino_bf16": 4.4}, ("openvino", "bf16")),
    ],
)
def test_a_lower_precision_is_taken_if_it_is_clearly_faster(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, latencies: dict[str, float], chosen: tuple[str, str]
) -> None:
    caplog.set_level(logging.INFO)
    folder, cache, runs = allowed(tmp_path), BenchmarkCache(tmp_path / "backends.json"), Lower(**latencies)
    for _ in range(3):
        model = opener(2, cache, Other, runs)(folder)
        assert (model.backend, model.precision) == chosen
    assert runs.measured == ["onnxruntime", "openvino", "openvino bf16"]
    assert runs.runs == 2
    assert "OpenVINO BF16" in caplog.text


def test_of_several_the_fastest_is_taken(tmp_path: Path) -> None:
    folder = allowed(tmp_path, proved(), proved("int8"), proved("int8", "onnxruntime"))
    cache = BenchmarkCache(tmp_path / "backends.json")
    runs = Lower(openvino_bf16=6, openvino_int8=5, onnxruntime_int8=4.9)
    model = opener(2, cache, Other, runs)(folder)
    assert (model.backend, model.precision) == ("openvino", "int8")
    assert len(runs.measured) == 5


def test_what_a_package_does_not_prove_is_not_tried(tmp_path: Path, folder: Path) -> None:
    runs = Lower()
    assert opener(2, BenchmarkCache(tmp_path / "backends.json"), Other, runs)(folder).precision == "fp32"
    assert runs.measured == ["onnxruntime", "openvino"]


def test_fp32_is_kept_to_where_it_is_asked_for(tmp_path: Path) -> None:
    folder, cache = allowed(tmp_path), BenchmarkCache(tmp_path / "backends.json")
    for _ in range(2):
        assert opener(2, cache, Other, Lower(openvino_bf16=1))(folder).precision == "bf16"
    runs = Lower()
    assert opener(2, cache, Other, runs, reduced=False)(folder).precision == "fp32"
    assert runs.measured == ["onnxruntime", "openvino"]


def test_another_processor_is_measured_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, cache = allowed(tmp_path), BenchmarkCache(tmp_path / "backends.json")
    for _ in range(2):
        assert opener(2, cache, Other, Lower(openvino_bf16=1))(folder).precision == "bf16"
    slow = Lower(openvino_bf16=11)
    monkeypatch.setattr(backends, "instruction_sets", lambda: "avx2")  # Of the same name.
    assert opener(2, cache, Other, slow)(folder).precision == "fp32"
    monkeypatch.setattr(backends, "processor_name", lambda: "Another Processor")
    assert opener(2, cache, Other, slow)(folder).precision == "fp32"
    assert slow.runs == 2


def test_another_release_is_measured_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, cache = allowed(tmp_path), BenchmarkCache(tmp_path / "backends.json")
    for _ in range(2):
        assert opener(2, cache, Other, Lower(openvino_bf16=11))(folder).precision == "fp32"
    monkeypatch.setattr(backends, "__version__", "99.0.0")  # It may open graphs in another way.
    assert opener(2, cache, Other, Lower(openvino_bf16=1))(folder).precision == "bf16"


def test_a_lower_precision_that_misses_its_tolerance_here_is_not_taken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    folder, runs = allowed(tmp_path, proved(golden={"score_gap": 0.02, "iou": 0.95})), Lower(openvino_bf16=1)
    cache = BenchmarkCache(tmp_path / "backends.json")
    model = opener(2, cache, Inexact, runs)(folder)  # 0.048 lower.
    assert (model.backend, model.precision, runs.runs) == ("onnxruntime", "fp32", 0)
    assert "does not give the expected answer on its golden image in bf16" in caplog.text


def test_a_processor_without_bf16_is_no_reason_to_leave_openvino(tmp_path: Path) -> None:
    class Without(Other):
        def __init__(self, package: Package, threads: int) -> None:
            raise ConfigError("this processor does not compute in BF16")

    folder, runs = allowed(tmp_path), Lower(openvino=5)
    sessions: dict[str, type[OnnxSession]] = {"onnxruntime": OnnxSession, "openvino": Other, "openvino bf16": Without}
    cache = BenchmarkCache(tmp_path / "backends.json")
    found = BenchmarkedOpener(2, cache, benchmark=runs, sessions=lambda each: sessions[str(each)])(folder)
    assert (found.backend, found.precision, runs.measured) == ("openvino", "fp32", ["onnxruntime", "openvino"])


def test_a_graph_that_failed_in_a_process_of_its_own_is_not_opened(tmp_path: Path) -> None:
    folder = allowed(tmp_path, proved("int8", "onnxruntime"))
    for passed, chosen in (({"onnxruntime", "onnxruntime int8"}, "int8"), ({"onnxruntime"}, "fp32"), (set(), "fp32")):
        opened: list[str] = []

        def sessions(execution: Execution, opened: list[str] = opened) -> type[OnnxSession]:
            opened.append(str(execution))
            return OnnxSession

        found = BenchmarkedOpener(
            1,
            BenchmarkCache(tmp_path / f"{len(passed)}.json"),
            ["onnxruntime"],
            passed=lambda _, passed=passed: passed,  # type: ignore[misc]
            benchmark=Lower(onnxruntime_int8=1),
            sessions=sessions,
        )(folder)
        assert found.precision == chosen
        assert ("onnxruntime int8" in opened) == (chosen == "int8")


def test_only_two_words_choose_the_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANDFUL_SERVING_INFERENCE_PRECISION", "int4")
    with pytest.raises(ConfigError, match="INFERENCE_PRECISION is wrong \\(Input should be 'auto' or 'fp32'\\)"):
        load(ServingSettings)
    monkeypatch.setenv("HANDFUL_SERVING_INFERENCE_PRECISION", "FP32")
    assert load(ServingSettings).inference_precision == "fp32"


@pytest.mark.anyio
@pytest.mark.parametrize("setting", ["auto", "fp32"])
async def test_the_precision_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str) -> None:
    monkeypatch.setattr(backends.BenchmarkedOpener.__init__, "__kwdefaults__", _with(Lower(onnxruntime_int8=1)))
    mlflow = FakeMlflow()
    package = allowing(build_package(tmp_path / "p"), proved("int8", "onnxruntime"))
    mlflow.register(package, aliases=["champion"])
    app = make_app(tmp_path, mlflow, inference_backend="onnxruntime", inference_precision=setting, threads=1)
    async with running(app) as client:
        assert (await client.post("/predict", content=encode(picture({(2, 3): "5"})))).json()["count"] == 5
        version = (await client.get("/models/fingers")).json()["versions"][0]
        metrics = (await client.get("/metrics")).text
    expected = "int8" if setting == "auto" else "fp32"
    assert (version["backend"], version["precision"]) == ("onnxruntime", expected)
    assert f'precision="{expected}"' in metrics


def _with(benchmark: Benchmark) -> dict[str, Any]:
    return dict(BenchmarkedOpener.__init__.__kwdefaults__ or {}, benchmark=benchmark)


@needs_openvino
@pytest.mark.anyio
@pytest.mark.parametrize("backend", ["openvino", "auto"])
async def test_it_serves(tmp_path: Path, backend: str) -> None:
    mlflow = FakeMlflow()
    mlflow.register(build_package(tmp_path / "p"), aliases=["champion"])
    async with running(make_app(tmp_path, mlflow, inference_backend=backend, threads=2)) as client:
        answer = await client.post("/predict", content=encode(picture({(2, 3): "5"})))
        version = (await client.get("/models/fingers")).json()["versions"][0]
        metrics = (await client.get("/metrics")).text
    assert answer.json()["count"] == 5
    assert version["backend"] in ({"openvino"} if backend == "openvino" else {"openvino", "onnxruntime"})
    assert f'backend="{version["backend"]}"' in metrics
    noted = tmp_path / "home" / "cache" / "models" / "backends.json"
    assert noted.exists() == (backend == "auto")
