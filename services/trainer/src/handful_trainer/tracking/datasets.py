"""A prepared dataset as MLflow's dataset input."""

from __future__ import annotations

import json

from handful_trainer.dataset.prepared import PreparedDataset

_MAX_DIGEST = 36


def dataset_record(dataset: PreparedDataset) -> dict[str, str]:
    """Name, digest, source, schema and profile, as MLflow keeps them."""
    return {
        "name": dataset.name,
        "digest": dataset.fingerprint[:_MAX_DIGEST],
        "source_type": "local",
        "source": json.dumps({"uri": dataset.root.resolve().as_uri()}),
        "schema": json.dumps({"classes": list(dataset.classes), "task": "detect"}),
        "profile": json.dumps({"images": dict(dataset.split_sizes)}),
    }
