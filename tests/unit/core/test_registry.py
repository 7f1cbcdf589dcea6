from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import httpx
import pytest

from fakes.packages import build_package
from fakes.registry import FakeMlflow
from handful_core.errors import ConfigError, HandfulError, NotFoundError, UnavailableError
from handful_core.package.archive import MAX_PACKAGE_FILES
from handful_core.package.errors import DamagedPackageError, MissingPackageError
from handful_core.registry import Registry, parse_reference
from handful_core.registry import client as client_module
from handful_core.registry.rest import NotMlflowError
from support.registry_suite import RegistrySuite

URI = "http://mlflow:5000"


class FakeBackend:
    def __init__(self) -> None:
        self.mlflow = FakeMlflow()
        self.mlflow.page = 2  # Short pages: the client has to ask for the next.

    def connect(self) -> Registry:
        return Registry(URI, transport=self.mlflow.transport())

    def register(
        self, root: Path | None, name: str, aliases: Iterable[str] = (), tags: Mapping[str, str] | None = None
    ) -> int:
        return self.mlflow.register(root, name, aliases, tags)


class TestOnTheFake(RegistrySuite):
    @pytest.fixture
    def backend(self) -> FakeBackend:
        return FakeBackend()


@pytest.fixture
def mlflow() -> FakeMlflow:
    return FakeMlflow()


@pytest.fixture
def registry(mlflow: FakeMlflow) -> Registry:
    return Registry(URI, attempts=2, transport=mlflow.transport())


def test_all_pages_of_a_list_are_read(mlflow: FakeMlflow, registry: Registry) -> None:
    mlflow.page = 3
    for number in range(10):
        mlflow.register(None, f"model-{number}")
    assert [model.name for model in registry.models()] == [f"model-{number}" for number in range(10)]


def test_an_empty_registry_holds_nothing(registry: Registry) -> None:
    assert registry.models() == []


def test_a_server_that_is_away_is_asked_again_then_told_of(mlflow: FakeMlflow, registry: Registry) -> None:
    mlflow.away = True
    with pytest.raises(UnavailableError) as caught:
        registry.models()
    assert len(mlflow.requests) == 2
    assert str(caught.value) == (
        "MLflow at http://mlflow:5000 does not answer (Connection refused): "
        "start it (scripts/serve --embedded), or set HANDFUL_MLFLOW_URI to where it runs"
    )


def test_a_password_in_the_address_is_shown_nowhere(mlflow: FakeMlflow) -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        raise httpx.ConnectError("Connection refused")

    registry = Registry("http://ada:secret@mlflow:5000/", attempts=1, transport=httpx.MockTransport(answer))
    with pytest.raises(UnavailableError, match="MLflow at http://mlflow:5000 does not answer"):
        registry.models()
    assert registry.uri == "http://mlflow:5000"
    assert asked[0].headers["Authorization"].startswith("Basic ")


@pytest.mark.parametrize("bound", ["_MAX_RESPONSE_BYTES", "_MAX_TIMEOUTS"])
def test_an_answer_without_end_is_given_up(bound: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"handful_core.registry.rest.{bound}", 0)

    def endless() -> Iterator[bytes]:
        while True:
            yield b" "

    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=endless()))
    with pytest.raises(UnavailableError, match="the answer did not end"):
        Registry("http://mlflow", attempts=1, transport=transport).models()


def test_a_passing_fault_is_not_noticed(mlflow: FakeMlflow, registry: Registry) -> None:
    mlflow.register(None, "model")
    faults = [httpx.Response(503, text="busy")]
    mlflow.answer = lambda request: faults.pop() if faults else mlflow._route(request)
    assert [model.name for model in registry.models()] == ["model"]


def test_a_change_is_made_once_only(mlflow: FakeMlflow, registry: Registry) -> None:
    """An answer that was lost does not mean that nothing was done."""
    mlflow.answer = lambda _: httpx.Response(502, text="bad gateway")
    with pytest.raises(UnavailableError, match=r"failed with status 502 \(bad gateway\)"):
        registry.set_alias("model", "champion", 1)
    assert len(mlflow.requests) == 1


@pytest.mark.parametrize(("status", "hint"), [(401, r"~/\.mlflow/credentials"), (403, "MLFLOW_SERVER_ALLOWED_HOSTS")])
def test_a_server_that_refuses_access_is_told_of(
    mlflow: FakeMlflow, registry: Registry, status: int, hint: str
) -> None:
    mlflow.answer = lambda _: httpx.Response(status, text="Invalid Host header")
    with pytest.raises(UnavailableError, match=f"refuses access with status {status}.*{hint}"):
        registry.models()
    assert len(mlflow.requests) == 1


def test_a_refused_request_is_told_in_mlflows_words(mlflow: FakeMlflow, registry: Registry) -> None:
    body = {"error_code": "INVALID_PARAMETER_VALUE", "message": "Alias name too long"}
    mlflow.answer = lambda _: httpx.Response(400, json=body)
    with pytest.raises(HandfulError, match=r"status 400 \(Alias name too long\)"):
        registry.set_alias("model", "a" * 300, 1)


ODD_ANSWERS = [
    httpx.Response(200, text="<html>a proxy's page</html>"),
    httpx.Response(200, json=[1, 2]),
    httpx.Response(200, json={"registered_model": None, "registered_models": 3, "model_version": [], "files": {}}),
    httpx.Response(200, json={"registered_models": [{}], "model_versions": [{}], "model_version": {}}),
    httpx.Response(200, json={"registered_models": [{"name": "m", "aliases": [{"alias": "a", "version": "one"}]}]}),
    httpx.Response(404, text="not here"),
    httpx.Response(404, json={"detail": "Not Found"}),
]
QUESTIONS: list[Callable[[Registry], object]] = [
    lambda registry: registry.models(),
    lambda registry: registry.versions("m"),
    lambda registry: registry.version("m", 1),
    lambda registry: registry.version("m", "champion"),
    lambda registry: registry.rollback("m"),
]


@pytest.mark.parametrize("answer", ODD_ANSWERS, ids=range(len(ODD_ANSWERS)))
@pytest.mark.parametrize("ask", QUESTIONS)
def test_what_is_no_mlflow_is_recognised(
    mlflow: FakeMlflow, registry: Registry, answer: httpx.Response, ask: Callable[[Registry], object]
) -> None:
    mlflow.answer = lambda _: answer
    with pytest.raises(NotMlflowError, match="http://mlflow:5000 answers, but not as MLflow does"):
        ask(registry)


def test_a_download_that_breaks_off_is_told_of(mlflow: FakeMlflow, registry: Registry, tmp_path: Path) -> None:
    mlflow.register(build_package(tmp_path / "package"), "model")
    version = registry.version("model", 1)

    def breaks(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("model.onnx"):
            raise httpx.RemoteProtocolError("peer closed connection", request=request)
        return mlflow._route(request)

    mlflow.answer = breaks
    with pytest.raises(UnavailableError, match="peer closed connection"):
        registry.download_package(version, tmp_path / "target")


def test_artifacts_that_mlflow_does_not_pass_on_are_told_of(
    mlflow: FakeMlflow, registry: Registry, tmp_path: Path
) -> None:
    mlflow.register(build_package(tmp_path / "package"), "model", scheme="s3")
    with pytest.raises(MissingPackageError, match=r"lies at s3:.* --artifacts-destination"):
        registry.download_package(registry.version("model", 1), tmp_path / "target")


@pytest.mark.parametrize("name", ["..", "a/..", ""])
def test_a_server_cannot_choose_where_files_are_written(
    mlflow: FakeMlflow, registry: Registry, tmp_path: Path, name: str
) -> None:
    mlflow.register(build_package(tmp_path / "package"), "model")
    version = registry.version("model", 1)

    def lists(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/artifacts"):
            return httpx.Response(200, json={"files": [{"path": name, "is_dir": False}]})
        return mlflow._route(request)

    mlflow.answer = lists
    with pytest.raises(MissingPackageError, match="MLflow lists a file with the name"):
        registry.download_package(version, tmp_path / "deep" / "target")


def test_folders_that_hold_themselves_come_to_an_end(mlflow: FakeMlflow, registry: Registry, tmp_path: Path) -> None:
    mlflow.register(build_package(tmp_path / "package"), "model")
    version = registry.version("model", 1)

    def lists(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/artifacts"):
            return httpx.Response(200, json={"files": [{"path": "again-and-again", "is_dir": True}]})
        return mlflow._route(request)

    mlflow.answer = lists
    with pytest.raises(MissingPackageError, match="MLflow lists a file with the name"):
        registry.download_package(version, tmp_path / "target")


def _hoard(mlflow: FakeMlflow, files: int, size: int) -> None:
    """Let each version hold so many files of so many bytes, whatever was registered."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/artifacts"):
            listed = [{"path": f"{number}.bin", "is_dir": False} for number in range(files)]
            return httpx.Response(200, json={"files": listed})
        return httpx.Response(200, content=bytes(size)) if request.url.path.endswith(".bin") else mlflow._route(request)

    mlflow.answer = answer


def test_more_files_than_a_package_has_are_not_fetched(mlflow: FakeMlflow, registry: Registry, tmp_path: Path) -> None:
    mlflow.register(build_package(tmp_path / "package"), "model")
    version = registry.version("model", 1)
    _hoard(mlflow, MAX_PACKAGE_FILES + 1, 1)
    with pytest.raises(DamagedPackageError, match=f"holds more than {MAX_PACKAGE_FILES} files: it is no model package"):
        registry.download_package(version, tmp_path / "target")
    assert not (tmp_path / "target").exists()
    _hoard(mlflow, MAX_PACKAGE_FILES, 1)
    assert len(list(registry.download_package(version, tmp_path / "target").iterdir())) == MAX_PACKAGE_FILES


def test_more_bytes_than_a_package_has_are_not_fetched(
    mlflow: FakeMlflow, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All files count together: each alone is small enough."""
    monkeypatch.setattr(client_module, "MAX_PACKAGE_BYTES", 3000)
    mlflow.register(build_package(tmp_path / "package"), "model")
    version = registry.version("model", 1)
    _hoard(mlflow, 4, 1000)
    with pytest.raises(DamagedPackageError, match=r"3\.bin is larger than the 0 bytes that may still come"):
        registry.download_package(version, tmp_path / "target")
    monkeypatch.setattr(client_module, "MAX_PACKAGE_BYTES", 500)
    with pytest.raises(DamagedPackageError, match="larger than the 500 bytes"):
        registry.download_package_file(version, "0.bin", tmp_path / "one.bin")
    assert (tmp_path / "one.bin").stat().st_size <= 500
    _hoard(mlflow, 3, 100)
    assert sum(path.stat().st_size for path in registry.download_package(version, tmp_path / "fits").iterdir()) == 300


@pytest.mark.parametrize("uri", ["http://[::1", "http://host:port"])
def test_an_address_that_is_none_is_a_matter_of_configuration(uri: str) -> None:
    with pytest.raises(ConfigError, match="is not the address of an MLflow server"):
        Registry(uri)


@pytest.mark.parametrize(
    ("reference", "parts"),
    [("models:/fingers@champion", ("fingers", "champion")), ("models:/a b/12", ("a b", 12))],
)
def test_a_reference_is_split(reference: str, parts: tuple[str, str | int]) -> None:
    assert parse_reference(reference) == parts


@pytest.mark.parametrize(
    "reference", ["fingers", "models:/", "models:/a", "models:/a/b", "models:/a@b@c", "models:/a/1@b"]
)
def test_what_is_no_reference_is_refused(reference: str) -> None:
    with pytest.raises(ConfigError, match="write models:/NAME@ALIAS"):
        parse_reference(reference)


def test_not_found_is_told_in_mlflows_words(registry: Registry) -> None:
    with pytest.raises(NotFoundError, match="Registered Model with name=gone not found"):
        registry.versions("gone")
