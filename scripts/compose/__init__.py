"""The Compose stack, driven from this machine: plain Python 3.11 or newer, nothing to install.

    PYTHONPATH=scripts python -m compose --help

The scripts beside this package call it so. Once .env and the secrets are there, `docker compose` does without.
"""
