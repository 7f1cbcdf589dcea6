"""What was asked and answered, without pixels: sampled in memory, spooled on disk, shipped to MLflow.

`log` is the observer and its threads, `reservoir` samples, `spool` keeps segments on disk, `shipper` brings them to
MLflow. docs/monitoring.md says what is kept.
"""
