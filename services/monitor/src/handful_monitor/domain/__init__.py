"""What decides: windows of rows, tests by the kind of feature, verdicts. It knows no files, no MLflow, no framework."""
