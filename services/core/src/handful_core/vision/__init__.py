"""The only code that decodes images, prepares them for a model and reads the model's answer.

Trainer and serving both use it, so a model answers the same wherever it runs.
"""
