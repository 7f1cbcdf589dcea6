"""MLflow's addresses."""

API = "/api/2.0/mlflow"
HISTORY_BULK = "/ajax-api/2.0/mlflow/metrics/get-history-bulk"
"""What MLflow's own page draws its curves from: one metric of up to a hundred runs at once."""
TRACES = "/api/3.0/mlflow/traces/search"
TIMEOUT = 300
"""Seconds for one answer: large pages take a busy server long."""
ATTEMPTS = 5
RUNS = 100
"""Runs on a page: each has all its params, tags and newest metrics, and a page is in memory as a whole."""
