"""Which images are trained on, and which judge."""
