"""Picsellia: pulling a dataset version into a folder."""
