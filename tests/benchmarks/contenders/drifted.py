"""Evidently's DataDriftPreset on many windows: `python drifted.py DATA.json`, in the environment that has it.

Prints the share of drifted columns of each window as JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def main(data: Path) -> None:
    import pandas as pd
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    content = json.loads(data.read_text(encoding="utf-8"))
    definition = DataDefinition(numerical_columns=content["numbers"], categorical_columns=content["words"])

    def dataset(columns: Any) -> Any:
        return Dataset.from_pandas(pd.DataFrame(columns), data_definition=definition)

    shares = []
    for window in content["windows"]:
        found = Report([DataDriftPreset()]).run(dataset(window), dataset(content["reference"])).dict()
        (counted,) = [m for m in found["metrics"] if "DriftedColumnsCount" in json.dumps(m.get("metric_name", m))]
        shares.append(counted["value"]["share"])
    print(json.dumps(shares))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
