"""Tables of images and their classes."""
