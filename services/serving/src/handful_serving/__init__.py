"""Serves registered models."""
