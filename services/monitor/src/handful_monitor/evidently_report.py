"""Evidently's HTML report of a window: it shows, and decides nothing.

Run by the Python of another environment, as a program: `python evidently_report.py DATA.json REPORT.html`. That one has
Evidently and pandas, and nothing of Handful.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main(data: Path, target: Path) -> None:
    """Draw the report.

    Args:
        data: JSON with `numbers` and `words`, names of columns, and with `reference` and `current`, which hold them.
        target: the HTML file.
    """
    import pandas as pd
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    content = json.loads(data.read_text(encoding="utf-8"))
    definition = DataDefinition(numerical_columns=content["numbers"], categorical_columns=content["words"])
    current, reference = (
        Dataset.from_pandas(pd.DataFrame(content[part]), data_definition=definition)
        for part in ("current", "reference")
    )
    Report([DataDriftPreset()]).run(current, reference).save_html(str(target))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
