"""Picsellia: pulling a dataset version into a folder."""

import os

# Without this, importing the SDK redirects the whole program's logs to stdout. It stands here, since every module of
# this folder that imports the SDK comes after.
os.environ.setdefault("PICSELLIA_SDK_CUSTOM_LOGGING", "1")
