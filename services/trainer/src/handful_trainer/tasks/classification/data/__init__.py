"""Classes of images: labels, their layout on disk, and the images as a network is trained on them."""
