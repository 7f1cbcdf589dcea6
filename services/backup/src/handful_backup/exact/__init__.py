"""The exact way: MLflow's own database, row by row, on SQLite and Postgres."""
