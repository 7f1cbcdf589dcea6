"""Installs Handful into `.venv`. Runs before anything is installed, so it uses the standard library alone."""
