"""What a registry has to do, be it MLflow or the fake: both run this suite."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

import pytest

from fakes.packages import build_package
from handful_core.errors import NotFoundError, RefusedError
from handful_core.package import open_package, write_package
from handful_core.package.archive import describe_files
from handful_core.package.errors import MissingPackageError
from handful_core.registry import Registry


class Backend(Protocol):
    """An MLflow to be filled."""

    def connect(self) -> Registry:
        """A client of it."""
        ...

    def register(
        self, root: Path | None, name: str, aliases: Iterable[str] = (), tags: Mapping[str, str] | None = None
    ) -> int:
        """Add a version that holds the package in `root`, or none."""
        ...


class RegistrySuite:
    """Subclasses give the fixture `backend`. Each test uses a model name of its own."""

    @pytest.fixture
    def package(self, tmp_path: Path) -> Path:
        return build_package(tmp_path / "package").root

    def test_versions_aliases_and_tags(self, backend: Backend, package: Path) -> None:
        name = "told"
        backend.register(package, name, ["champion", "best"], {"metrics.mAP50": "0.5"})
        backend.register(package, name)
        with backend.connect() as registry:
            newest, oldest = registry.versions(name)
            assert (newest.version, oldest.version) == (2, 1)
            assert oldest.aliases == ("best", "champion")
            assert newest.aliases == ()
            assert oldest.tags["metrics.mAP50"] == "0.5"
            assert oldest.created is not None
            assert newest.created is not None
            assert oldest.created < newest.created
            assert oldest.source.startswith("models:/m-")
            alone = registry.version(name, 1)
            assert (alone.source, alone.created, alone.tags) == (oldest.source, oldest.created, oldest.tags)

    def test_models_come_with_their_aliases(self, backend: Backend, package: Path) -> None:
        backend.register(package, "listed-b", ["champion"])
        backend.register(package, "listed-a")
        with backend.connect() as registry:
            found = [model for model in registry.models() if model.name.startswith("listed")]
            assert [(model.name, dict(model.aliases)) for model in found] == [
                ("listed-a", {}),
                ("listed-b", {"champion": 1}),
            ]
            assert all(model.created is not None for model in found)

    def test_an_alias_leads_to_its_version(self, backend: Backend, package: Path) -> None:
        backend.register(package, "aliased")
        backend.register(package, "aliased", ["champion"])
        with backend.connect() as registry:
            assert registry.version("aliased", "champion").version == 2
            registry.set_alias("aliased", "champion", 1)
            assert registry.version("aliased", "champion").version == 1
            with pytest.raises(NotFoundError, match="model aliased has no alias best: it has champion"):
                registry.version("aliased", "best")

    def test_what_is_not_there_is_not_found(self, backend: Backend, package: Path) -> None:
        backend.register(package, "alone")
        with backend.connect() as registry:
            with pytest.raises(NotFoundError, match="has no alias champion: set one with: handful promote alone"):
                registry.version("alone", "champion")
            with pytest.raises(NotFoundError):
                registry.version("alone", 9)
            with pytest.raises(NotFoundError):
                registry.version("nobody", "champion")
            with pytest.raises(NotFoundError):
                registry.versions("nobody")
            with pytest.raises(NotFoundError):
                registry.set_alias("alone", "champion", 9)
            with pytest.raises(NotFoundError):
                registry.promote("alone", 9)
            assert dict(next(m for m in registry.models() if m.name == "alone").aliases) == {}

    def test_promote_remembers_and_rollback_returns(self, backend: Backend, package: Path) -> None:
        for _ in range(3):
            backend.register(package, "moved")
        with backend.connect() as registry:
            with pytest.raises(NotFoundError, match="no previous champion"):
                registry.rollback("moved")
            registry.promote("moved", 1)
            registry.promote("moved", 3)
            registry.promote("moved", 3)
            assert _aliases(registry, "moved") == {"champion": 3, "previous": 1}, "promoting it again changes nothing"
            assert registry.rollback("moved").version == 1
            assert _aliases(registry, "moved") == {"champion": 1, "previous": 3}
            with pytest.raises(RefusedError, match=r"from version 3 to 1.* bring version 3 back: .*promote moved 3"):
                registry.rollback("moved")
            assert _aliases(registry, "moved") == {"champion": 1, "previous": 3}, "a second rollback changes nothing"
            registry.promote("moved", 3)
            assert _aliases(registry, "moved") == {"champion": 3, "previous": 1}, "promoted by name, it comes back"
            assert registry.rollback("moved").version == 1, "and can be rolled back from again"
            registry.promote("moved", 2)
            assert registry.rollback("moved").version == 1
            with pytest.raises(RefusedError, match="from version 2 to 1"):
                registry.rollback("moved")

    def test_tags_are_set(self, backend: Backend, package: Path) -> None:
        backend.register(package, "tagged", tags={"old": "kept"})
        with backend.connect() as registry:
            registry.set_tags("tagged", 1, {"gate": "passed", "metrics.f1": "0.75"})
            assert registry.version("tagged", 1).tags == {"old": "kept", "gate": "passed", "metrics.f1": "0.75"}

    def test_a_package_comes_back_as_it_went(self, backend: Backend, tmp_path: Path) -> None:
        package = build_package(tmp_path / "package")
        (package.root / "more").mkdir()
        (package.root / "more" / "a name with spaces, and ü.txt").write_text("text")
        package = write_package(
            package.root, package.manifest.model_copy(update={"files": describe_files(package.root)})
        )
        backend.register(package.root, "fetched")
        with backend.connect() as registry:
            folder = registry.download_package(registry.version("fetched", 1), tmp_path / "target")
        assert (folder / "more" / "a name with spaces, and ü.txt").read_text() == "text"
        with open_package(folder) as opened:
            assert opened.digest == package.digest

    def test_a_version_without_a_package_says_so(self, backend: Backend, tmp_path: Path) -> None:
        backend.register(None, "hollow")
        with (
            backend.connect() as registry,
            pytest.raises(MissingPackageError, match="hollow version 1 holds no model package"),
        ):
            registry.download_package(registry.version("hollow", 1), tmp_path / "target")

    def test_a_name_with_a_quote_is_a_name(self, backend: Backend, package: Path) -> None:
        backend.register(package, "it's")
        with backend.connect() as registry:
            assert [version.version for version in registry.versions("it's")] == [1]


def _aliases(registry: Registry, name: str) -> dict[str, int]:
    return dict(next(model for model in registry.models() if model.name == name).aliases)
