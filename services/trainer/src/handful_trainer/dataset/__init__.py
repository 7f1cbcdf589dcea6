"""Labelled images: where they come from, what is made of them, how they are read."""
