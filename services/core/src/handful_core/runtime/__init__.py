"""Runs a model's graph: sessions, threads, processors."""
