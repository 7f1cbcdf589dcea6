from __future__ import annotations

import sys
from pathlib import Path

import pytest

from fakes.packages import build_package, encode, picture
from handful_core.package.archive import read_folder
from handful_core.runtime.cpus import available_cpus
from handful_core.runtime.openvino import is_installed
from handful_trainer.packaging.latency import Latency, measure_latency


def _measured(folder: Path) -> Latency:
    image = folder / "image.png"
    image.write_bytes(encode(picture({(1, 1): "2"})))
    build_package(folder / "package")
    return measure_latency(read_folder(folder / "package"), image, runs=5)


def test_a_package_is_timed_with_all_processors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    latency = _measured(tmp_path)
    assert 0 < latency.p50 <= latency.p95
    assert latency.threads == available_cpus()
    assert set(latency.metrics()) == {"package/latency_ms_p50", "package/latency_ms_p95"}


@pytest.mark.skipif(not is_installed(), reason="OpenVINO is not installed: pip install openvino")
def test_openvino_is_timed_beside_it_where_it_is_installed(tmp_path: Path) -> None:
    latency = _measured(tmp_path)
    assert latency.openvino is not None
    assert 0 < latency.openvino.p50 <= latency.openvino.p95
    metrics = latency.metrics()
    assert metrics["package/latency_openvino_ms_p50"] == latency.openvino.p50
    assert metrics["package/latency_openvino_ms_p95"] == latency.openvino.p95
    assert metrics["package/latency_ms_p50"] == latency.p50
