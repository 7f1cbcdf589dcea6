"""Answers as rows of Parquet: one row an image."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

Row = dict[str, Any]


def schema_of(task: str, metadata: Mapping[str, str]) -> pa.Schema:
    """The columns of a task's answers. Their names and meanings are those of POST /predict.

    Args:
        task: `detect` or `classify`.
        metadata: what stands in each file: model, package and options.
    """
    import pyarrow as pa

    of_class = [("class", pa.int32()), ("name", pa.string())]
    columns = [
        pa.field("file", pa.string(), nullable=False),
        pa.field("bytes", pa.int64(), nullable=False),
        pa.field("changed", pa.int64(), nullable=False),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("faces_blurred", pa.int32()),
    ]
    if task == "detect":
        detection = pa.struct([*of_class, ("confidence", pa.float32()), ("box", pa.list_(pa.float32(), 4))])
        columns += [("count", pa.int64()), ("detections", pa.list_(detection))]
    else:
        probability = pa.struct([*of_class, ("probability", pa.float32())])
        columns += [
            ("name", pa.string()),
            ("probability", pa.float32()),
            ("probabilities", pa.list_(probability)),
            ("uncertain", pa.bool_()),
            ("prediction_set", pa.list_(pa.string())),
        ]
    columns += [("out_of_distribution", pa.bool_()), ("distance", pa.float32()), ("error", pa.string())]
    return pa.schema(columns, metadata=dict(metadata))


def answer_row(answer: Mapping[str, Any]) -> Row:
    """The columns of an answer, as `to_dict` makes it."""
    row = {key: answer.get(key) for key in ("uncertain", "prediction_set", "out_of_distribution", "distance")}
    if answer["task"] == "detect":
        return row | {"count": answer["count"], "detections": answer["detections"]}
    first = answer["top"][0]
    probabilities = answer["probabilities"]
    return row | {"name": first["name"], "probability": first["probability"], "probabilities": probabilities}


def to_parquet(rows: Sequence[Row], schema: pa.Schema) -> bytes:
    """The rows as a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    content = io.BytesIO()
    columns = set(schema.names)
    kept = [{key: value for key, value in row.items() if key in columns} for row in rows]
    pq.write_table(pa.Table.from_pylist(kept, schema), content, compression="zstd")
    return content.getvalue()
