"""Addresses of servers, as they may be shown."""

from __future__ import annotations

from urllib.parse import urlsplit


def redact_credentials(address: str) -> str:
    """The address without `user:password@`: what may stand in a message, a log, a page or a file."""
    try:
        parts = urlsplit(address)
    except ValueError:  # It is none; whoever uses it says so.
        return address
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl() if "@" in parts.netloc else address
