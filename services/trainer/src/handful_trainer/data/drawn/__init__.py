"""Hands drawn by the program: something to try everything with. They are drawings, and called so wherever they go."""

from handful_trainer.data.drawn.folder import draw_folder
from handful_trainer.data.drawn.gestures import CLASSES
from handful_trainer.data.drawn.scene import draw_scene

__all__ = ["CLASSES", "draw_folder", "draw_scene"]
