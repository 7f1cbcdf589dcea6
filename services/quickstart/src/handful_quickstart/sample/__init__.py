"""Hands and leaves that the program draws, to try everything with. They are called drawings wherever they go."""

from handful_quickstart.sample.leaf import LEAF_CLASSES, draw_leaf
from handful_quickstart.sample.scene import draw_scene
from handful_quickstart.sample.skeleton import CLASSES
from handful_quickstart.sample.source import LeafSampleSource, SampleSource, draw_folder, draw_leaf_folder

__all__ = [
    "CLASSES",
    "LEAF_CLASSES",
    "LeafSampleSource",
    "SampleSource",
    "draw_folder",
    "draw_leaf",
    "draw_leaf_folder",
    "draw_scene",
]
