"""Handful on one machine without Docker: MLflow and serving start, a model is trained on drawings and served."""
