"""The portable way: MLflow's REST API alone, any server."""
