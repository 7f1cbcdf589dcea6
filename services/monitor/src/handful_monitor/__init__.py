"""Compares what a served model is asked and answers with what it was accepted on, and says when that has changed."""

__version__ = "0.1.0"
