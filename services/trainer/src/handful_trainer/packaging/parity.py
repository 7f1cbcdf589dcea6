"""The parity check: a package must answer as its weights do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from handful_core.console import progress
from handful_core.errors import RefusedError
from handful_core.vision.decode import decode_image
from handful_trainer.tasks.base import Agreement, Reference

_SHOWN = 3


def check_parity(reference: Reference, images: Sequence[Path]) -> Agreement:
    """Compare a package with the weights it was made from, on whole images.

    Args:
        reference: both of them.
        images: image files.

    Returns:
        The worst agreement of all images.

    Raises:
        RefusedError: an image gets another answer; the worst are named.
    """
    with progress() as bar:
        shown = bar.track(images, description="comparing package and weights")
        results = [(path, reference.compare(decode_image(path.read_bytes()))) for path in shown]
    failed = sorted((r for r in results if not r[1].ok), key=lambda result: result[1].severity, reverse=True)
    if failed:
        worst = "; ".join(f"{path.name}: {agreement}" for path, agreement in failed[:_SHOWN])
        raise RefusedError(
            f"the package answers otherwise than its weights on {len(failed)} of {len(images)} images ({worst})",
            "it is not registered; export it with another package.head, or with other versions of torch and onnx",
        )
    return reference.worst([agreement for _, agreement in results])
