"""Boxes around objects, found by Ultralytics' networks."""
