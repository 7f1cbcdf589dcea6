"""`handful keys`: who may use the API."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import Annotated

import typer

from handful_core.console import print_json, print_table, say
from handful_core.errors import ConfigError, NotFoundError
from handful_core.settings import CoreSettings, load
from handful_serving.adapters.key_file import KeyFile
from handful_serving.domain.auth import SCOPES, ApiKey, Scope, digest_of, new_secret
from handful_serving.settings import ServingSettings

keys = typer.Typer(help="Make, list and remove API keys of the server.", no_args_is_help=True, rich_markup_mode=None)
Name = Annotated[str, typer.Argument(help="What you call the key: its owner, or the program that uses it.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@keys.command()
def create(
    name: Name,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            metavar="metrics|predict|review|admin",
            help="metrics, predict (the default), review or admin. You may repeat it.",
        ),
    ] = None,
    rate: Annotated[int | None, typer.Option(min=1, help="Images a minute. If not given, the server's rate.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and print it: only its hash is kept, so it is never shown again. It is good at once."""
    file = _file()
    known = file.read()
    if any(key.name == name for key in known):
        raise ConfigError(f"there is a key {name} already", "choose another name, or remove it first")
    secret = new_secret()
    now = datetime.now(UTC).isoformat(timespec="seconds")
    file.write([*known, ApiKey(name, digest_of(secret), _scopes(scope), rate, now)])
    if as_json:
        print_json({"name": name, "key": secret})
    else:
        say(f"the key {name}, which is shown only now:")
        print(secret)  # noqa: T201  # Alone on stdout, for a script.


@keys.command("list")
def list_keys(as_json: AsJson = False) -> None:
    """The keys that there are, without their secrets."""
    known = _file().read()
    if as_json:
        print_json([dataclasses.asdict(key) | {"scopes": sorted(key.scopes), "digest": None} for key in known])
        return
    rows = [(key.name, ", ".join(sorted(key.scopes)), key.rate_per_minute or "", key.created) for key in known]
    print_table("API keys", ("name", "scopes", "images a minute", "created"), rows)


@keys.command()
def remove(name: Name) -> None:
    """Remove a key: within a second nobody gets in with it."""
    file = _file()
    known = file.read()
    kept = [key for key in known if key.name != name]
    if len(kept) == len(known):
        raise NotFoundError(f"there is no key {name}", "see `handful keys list`")
    file.write(kept)
    say(f"{name} is removed")


def _scopes(words: list[str] | None) -> frozenset[Scope]:
    scopes = words or ["predict"]
    if unknown := [word for word in scopes if word not in SCOPES]:
        raise ConfigError(f"there is no scope {unknown[0]}", f"the scopes are {', '.join(SCOPES)}")
    return frozenset(scope for scope in SCOPES if scope in scopes)


def _file() -> KeyFile:
    settings = load(ServingSettings)
    return KeyFile(settings.keys_file or load(CoreSettings).home / "keys.json")
