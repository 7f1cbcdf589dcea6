"""OpenVINO answers as ONNX Runtime does, and tells nobody that it is there."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from fakes.packages import CLASSES, HEADS, build_package, damage, picture, square_box
from fakes.second_look import looks_twice
from handful_core.errors import ConfigError
from handful_core.package.archive import describe_files, read_folder, write_package
from handful_core.package.errors import GoldenError, GraphError
from handful_core.runtime.model import load_model
from handful_core.runtime.onnx import OnnxSession
from handful_core.runtime.openvino import OpenVinoSession, copy_shared_biases, is_installed, require_openvino
from handful_core.runtime.thread_policy import RunTicket

needs_openvino = pytest.mark.skipif(not is_installed(), reason="OpenVINO is not installed: pip install openvino")


@needs_openvino
@pytest.mark.parametrize("head", HEADS)
def test_it_gives_what_onnx_runtime_gives(tmp_path: Path, head: str) -> None:
    package = build_package(tmp_path / "p", head)  # type: ignore[arg-type]
    tensor = np.random.default_rng(0).random((1, 3, 64, 64), np.float32)
    expected = OnnxSession(package, 1).run(tensor)
    session = OpenVinoSession(package, 1)
    assert np.allclose(session.run(tensor), expected, atol=1e-4)
    assert session.run(tensor).dtype == np.float32
    assert load_model(package, 1, OpenVinoSession).backend == "openvino"  # It answers the golden image.
    assert load_model(package, 1).backend == "onnxruntime"


@needs_openvino
def test_callers_at_once_get_each_their_own_answer(tmp_path: Path) -> None:
    model = load_model(build_package(tmp_path / "p"), 2, OpenVinoSession)
    cells = [(column, row) for column in range(8) for row in range(8)]

    def boxes(cell: tuple[int, int]) -> list[list[float]]:
        return model.predict(picture({cell: "3"})).detections.boxes.tolist()  # type: ignore[no-any-return]

    with ThreadPoolExecutor(8) as pool:
        for cell, found in zip(cells * 3, pool.map(boxes, cells * 3), strict=True):
            assert np.allclose(found, [square_box(*cell)], atol=0.1), cell


@needs_openvino
def test_a_network_that_is_run_twice_is_fused_as_one_that_is_run_once() -> None:
    """A bias that two convolutions share kept OpenVINO from fusing either with its activation."""
    core = require_openvino().Core()
    image = np.random.default_rng(1).random((1, 3, 32, 32), np.float32)
    plain, copied = core.read_model(looks_twice()), core.read_model(looks_twice())
    copy_shared_biases(copied)
    nodes = core.compile_model(copied, "CPU").get_runtime_model().get_ops()
    fused = [str(node.get_rt_info()["originalLayersNames"].astype(str)) for node in nodes]
    for name in ("first", "second"):
        assert f"{name}/conv/WithoutBiases,{name}/conv,{name}" in fused  # Its bias and its SiLU.
    answers = [list(core.compile_model(each, "CPU")(image).values()) for each in (plain, copied)]
    for own, other in zip(*answers, strict=True):
        assert np.allclose(own, other, atol=1e-5)


@needs_openvino
def test_a_constant_that_very_many_read_is_copied_only_so_often() -> None:
    """A package from outside may have a graph that would else take gigabytes."""
    names = ["image", *(f"sum{number}" for number in range(400))]
    nodes = [helper.make_node("Add", [name, "c"], [after]) for name, after in itertools.pairwise(names)]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4096]) for name in (names[0], names[-1])]
    constant = numpy_helper.from_array(np.ones(4096, np.float32), "c")
    graph = helper.make_graph(nodes, "sums", ends[:1], ends[1:], [constant])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    opened = require_openvino().Core().read_model(model.SerializeToString())
    copy_shared_biases(opened)
    constants = [node for node in opened.get_ops() if node.get_type_name() == "Constant"]
    assert 4096 < sum(node.data.size for node in constants) <= 1_000_000 + 4096


class _Alternating:
    """All threads for every second run."""

    spin = True

    def __init__(self) -> None:
        self.began: list[RunTicket] = []
        self.ended: list[tuple[RunTicket, bool]] = []

    def begin(self) -> RunTicket:
        self.began.append(RunTicket(all_threads=len(self.began) % 2 == 0))
        return self.began[-1]

    def end(self, ticket: RunTicket, *, failed: bool = False) -> None:
        self.ended.append((ticket, failed))


@needs_openvino
def test_the_policy_decides_how_many_threads_a_run_gets(tmp_path: Path) -> None:
    policy = _Alternating()
    package = build_package(tmp_path / "p")
    session = OpenVinoSession(package, 2, policy=policy)
    tensor = np.random.default_rng(0).random((1, 3, 64, 64), np.float32)
    expected = OnnxSession(package, 1).run(tensor)
    for _ in range(4):
        assert np.allclose(session.run(tensor), expected, atol=1e-4)
    with pytest.raises(GraphError):
        session.run(np.zeros((1, 3, 32, 32), np.float32))
    assert policy.ended == [(ticket, number == 4) for number, ticket in enumerate(policy.began)]
    assert [ticket.all_threads for ticket in policy.began] == [True, False, True, False, True]


@needs_openvino
def test_an_answer_is_not_overwritten_by_the_next(tmp_path: Path) -> None:
    session = OpenVinoSession(build_package(tmp_path / "p"), 1)
    first = session.run(np.zeros((1, 3, 64, 64), np.float32))
    kept = first.copy()
    session.run(np.ones((1, 3, 64, 64), np.float32))
    assert (first == kept).all()


@needs_openvino
def test_what_is_wrong_with_a_package_is_found(tmp_path: Path) -> None:
    other = build_package(tmp_path / "other")
    damage(other.root, "graph")
    with pytest.raises(GraphError, match=r"output 'output0' has shape \[1, 11, 128\], the manifest asks for \[1, 12"):
        load_model(read_folder(other.root), 1, OpenVinoSession)
    wrong = build_package(tmp_path / "wrong")
    damage(wrong.root, "golden")
    with pytest.raises(GoldenError):
        load_model(read_folder(wrong.root), 1, OpenVinoSession)
    none = build_package(tmp_path / "none")
    none.model_path.write_bytes(b"no graph")
    none = write_package(none.root, none.manifest.model_copy(update={"files": describe_files(none.root)}))
    with pytest.raises(GraphError, match=r"model\.onnx cannot be loaded by OpenVINO"):
        OpenVinoSession(none, 1)


@needs_openvino
def test_a_tensor_that_does_not_fit_is_a_graph_error(tmp_path: Path) -> None:
    session = OpenVinoSession(build_package(tmp_path / "p"), 1)
    with pytest.raises(GraphError, match="OpenVINO cannot run the graph"):
        session.run(np.zeros((1, 3, 32, 32), np.float32))
    assert session.run(np.zeros((1, 3, 64, 64), np.float32)).shape == (1, 4 + len(CLASSES), 128)


@needs_openvino
def test_nobody_is_told_that_it_is_used(tmp_path: Path) -> None:
    """OpenVINO reports each import to its makers, under a number that it keeps in ~/intel."""
    words = (
        "import sys; from handful_core.runtime.openvino import require_openvino; require_openvino().Core(); "
        "print([name for name, module in sys.modules.items() if 'telemetry' in name.split('.')[0] and module])"
    )
    environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}  # Of CI systems it would tell nothing.
    done = subprocess.run([sys.executable, "-c", words], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert not (tmp_path / "intel").exists()


_STUCK = """
import os, sys, time
from pathlib import Path
import numpy as np
from fakes.hostile import endless_on_white, hostile_package
from fakes.packages import build_package
from handful_core.package.errors import RunTooLongError
from handful_core.runtime.openvino import OpenVinoSession, stuck_runs

slow = OpenVinoSession(hostile_package(Path(sys.argv[1]) / "slow", endless_on_white), 1, run_seconds=1)
good = OpenVinoSession(build_package(Path(sys.argv[1]) / "good"), 1)
black, white = np.zeros((1, 3, 64, 64), np.float32), np.ones((1, 3, 64, 64), np.float32)
before = slow.run(black)
for least, most in ((1, 30), (0, 0.5)):
    began = time.monotonic()
    try:
        slow.run(white if most > 1 else black)
    except RunTooLongError as error:
        assert "took longer than 1 s and was given up" in str(error), error
    else:
        raise AssertionError("it answered")
    assert least <= time.monotonic() - began < most
    assert stuck_runs() == 1
assert (good.run(black) == before).all()
print("as it should be", flush=True)
os._exit(0)  # By itself the interpreter would wait for OpenVINO's threads.
"""


@needs_openvino
def test_a_run_that_cannot_be_ended_is_given_up_and_its_session_with_it(tmp_path: Path, repository: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(repository / "tests")}
    words = [sys.executable, "-c", _STUCK, str(tmp_path)]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.stdout == "as it should be\n", done.stderr


def test_where_it_is_missing_a_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ConfigError) as caught:
        require_openvino()
    assert str(caught.value) == "OpenVINO is not installed: install it with: pip install openvino"
