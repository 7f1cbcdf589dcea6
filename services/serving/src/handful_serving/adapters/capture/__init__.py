"""Keeps pictures that a person should look at: chosen as they are answered, spooled on disk, brought to MLflow.

`capture` is the port and its threads, `rules` chooses, `spool` keeps pictures on disk, `courier` brings them to MLflow.
docs/howto/review.md says what is kept.
"""
