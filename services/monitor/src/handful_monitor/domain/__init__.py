"""What decides: windows of rows, tests by the kind of feature, verdicts. It knows no files, no MLflow, no framework."""

LEAST_ROWS = 200
"""Fewer rows give no verdict."""
