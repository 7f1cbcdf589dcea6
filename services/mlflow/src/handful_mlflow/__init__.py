"""MLflow's container: the tracking server and the jobs that prepare its stores."""
