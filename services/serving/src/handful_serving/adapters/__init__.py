"""What serving talks to: MLflow, the disk, ONNX Runtime, Prometheus."""
