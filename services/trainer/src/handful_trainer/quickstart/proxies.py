"""A proxy that the environment names is for the world outside, not for servers on this machine."""

from __future__ import annotations

from collections.abc import MutableMapping

from handful_trainer.quickstart.plan import LOCAL

_HOSTS = (LOCAL, "localhost")


def reach_local_servers_directly(environment: MutableMapping[str, str]) -> None:
    """Add this machine to what is reached without a proxy, in both spellings that programs look for."""
    for name in ("NO_PROXY", "no_proxy"):
        named = [host.strip() for host in environment.get(name, "").split(",") if host.strip()]
        environment[name] = ",".join([*named, *(host for host in _HOSTS if host not in named)])
