"""Compares what a served model is asked and answers with what it was accepted on, and says when that has changed."""
