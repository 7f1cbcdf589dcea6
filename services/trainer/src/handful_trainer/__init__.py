"""From labelled images to a registered model."""

__version__ = "0.1.0"
