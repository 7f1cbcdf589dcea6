from pathlib import Path

from fakes.packages import build_package, encode, picture
from handful_core.package.archive import read_folder
from handful_core.vision.cpus import available_cpus
from handful_trainer.packaging.latency import measure_latency


def test_a_package_is_timed_with_all_processors(tmp_path: Path) -> None:
    image = tmp_path / "image.png"
    image.write_bytes(encode(picture({(1, 1): "2"})))
    build_package(tmp_path / "package")
    latency = measure_latency(read_folder(tmp_path / "package"), image, runs=5)
    assert 0 < latency.p50 <= latency.p95
    assert latency.threads == available_cpus()
    assert set(latency.metrics()) == {"package/latency_ms_p50", "package/latency_ms_p95"}
