"""The whole of Handful on one machine without Docker: MLflow and serving under honcho, and a model made for them."""
