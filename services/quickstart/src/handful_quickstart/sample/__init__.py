"""Hands drawn by the program: something to try everything with. They are drawings, and called so wherever they go."""

from handful_quickstart.sample.scene import draw_scene
from handful_quickstart.sample.skeleton import CLASSES
from handful_quickstart.sample.source import SampleSource, draw_folder

__all__ = ["CLASSES", "SampleSource", "draw_folder", "draw_scene"]
