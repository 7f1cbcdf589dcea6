"""What every backend is: a session that runs a graph, once the graph was checked against its manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from handful_core.package import ExtraOutput, Manifest
from handful_core.package.errors import GraphError
from handful_core.vision.preprocess import Floats

Shape = Sequence[int | str]
"""A size that the graph leaves free is a word."""


class Session(Protocol):
    """Runs a graph: the seam where another backend fits in."""

    @property
    def backend(self) -> str:
        """What it is, in one word."""
        ...

    def run(self, tensor: Floats) -> Floats:
        """The graph's answer for one input. Safe to call from several threads at once."""
        ...

    def run_outputs(self, tensor: Floats, extra: Sequence[ExtraOutput]) -> list[Floats]:
        """The graph's answer for one input, then these others of its outputs, of one run."""
        ...


def check_graph(inputs: Mapping[str, Shape], outputs: Mapping[str, Shape], manifest: Manifest) -> None:
    """Compare a graph's inputs and outputs, by name, with the manifest.

    Raises:
        GraphError: one that the manifest names is missing or has another shape.
    """
    _check_node("input", manifest.input.name, inputs, (1, 3, manifest.input.height, manifest.input.width))
    _check_node("output", manifest.output.name, outputs, manifest.expected_shape)
    for extra in (manifest.output.embedding, manifest.output.class_maps):
        if extra is not None:
            _check_node("output", extra.name, outputs, extra.shape)


def check_outputs(outputs: Sequence[Floats], manifest: Manifest, extra: Sequence[ExtraOutput] = ()) -> None:
    """Compare what came out of a run: a graph with free sizes may pass the check when it is loaded.

    Raises:
        GraphError: the manifest asks for another shape.
    """
    expected = [(manifest.output.name, manifest.expected_shape), *((each.name, each.shape) for each in extra)]
    for output, (name, shape) in zip(outputs, expected, strict=True):
        if not _agrees(output.shape, shape):
            raise _disagreement("output", name, output.shape, shape)


def _check_node(kind: str, name: str, nodes: Mapping[str, Shape], expected: tuple[int | None, ...]) -> None:
    if name not in nodes:
        raise GraphError(f"the graph has no {kind} {name!r}, it has {', '.join(nodes)}", "package the model again")
    if not _agrees(nodes[name], expected):
        raise _disagreement(kind, name, nodes[name], expected)


def _agrees(shape: Shape, expected: tuple[int | None, ...]) -> bool:
    return len(shape) == len(expected) and all(
        want is None or not isinstance(have, int) or have == want for have, want in zip(shape, expected, strict=True)
    )


def _disagreement(kind: str, name: str, shape: Shape, expected: tuple[int | None, ...]) -> GraphError:
    return GraphError(
        f"the graph's {kind} {name!r} has shape {list(shape)}, the manifest asks for {list(expected)}",
        "package the model again",
    )
