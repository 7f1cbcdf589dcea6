"""Which images are in train, val and test."""
