"""Handful on one machine without Docker: MLflow and serving start, a model is trained on drawn hands and served."""
