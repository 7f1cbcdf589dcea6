"""What can be wrong with a model package. Serving counts refused packages by these kinds."""

from __future__ import annotations

from handful_core.errors import PackageError


class MissingPackageError(PackageError):
    """There is no package where one should be, or it cannot be fetched."""

    kind = "missing"


class ManifestError(PackageError):
    """The manifest breaks its schema."""

    kind = "manifest"


class SchemaVersionError(PackageError):
    """The manifest is of a major version that this Handful does not read."""

    kind = "schema_version"


class DamagedPackageError(PackageError):
    """A file is missing or differs from its hash, or the archive is broken or unsafe."""

    kind = "damaged"


class GraphError(PackageError):
    """ONNX Runtime cannot run the graph, or the graph is not what the manifest says."""

    kind = "graph"


class GoldenError(PackageError):
    """The model's answer to its golden image is not the expected one."""

    kind = "golden"


class RunTooLongError(GraphError):
    """A run of the graph was ended because it took too long."""

    kind = "time"
