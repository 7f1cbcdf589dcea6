"""The Compose stack, driven from this machine: plain Python 3.11 or newer, nothing to install.

The scripts above this package call it, by way of `commands`. Once .env and the secrets are there, `docker compose` does
without.
"""
