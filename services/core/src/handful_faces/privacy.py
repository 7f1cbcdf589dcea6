"""Faces are found and blurred before a model sees an image, and before any of its pixels are sent back."""

from __future__ import annotations

from typing import Literal, Protocol

from handful_core.errors import HandfulError
from handful_core.vision.decode import Pixels

Detector = Literal["off", "haar", "yunet", "centerface"]


class BlurError(HandfulError):
    """Faces could not be looked for or blurred: the image goes no further."""


class FaceBlur(Protocol):
    """Blurs faces. Safe to use from several threads at once."""

    @property
    def size(self) -> int:
        """The longer side, in pixels, that an image must keep for its faces to be found."""
        ...

    def __call__(self, pixels: Pixels, /) -> int:
        """Blur every face of an image in place; how many there were.

        Raises:
            BlurError: it could not be done.
        """
        ...


class NoBlur:
    """Leaves images as they are, where the settings turn blurring off."""

    size = 0

    def __call__(self, _: Pixels) -> int:
        """Do nothing; no face."""
        return 0
