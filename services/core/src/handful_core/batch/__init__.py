"""Predictions for many images at once, as Parquet: `handful predict --batch`. Needs the extra `batch`."""
