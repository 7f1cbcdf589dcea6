"""From a source to a folder that can be trained on."""
