"""How good a classifier is, and what people read of it."""
