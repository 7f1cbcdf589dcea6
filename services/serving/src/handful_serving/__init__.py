"""Serves registered models."""

__version__ = "0.1.0"
