"""`handful promote` and `handful rollback`: moving the alias by hand."""

from __future__ import annotations

from typing import Annotated

import typer

from handful_core.console import print_json, say
from handful_core.settings import CoreSettings, load

Name = Annotated[str, typer.Argument(help="The registered model.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def promote(
    name: Name,
    version: Annotated[int, typer.Argument(help="The version that becomes champion.")],
    as_json: AsJson = False,
) -> None:
    """Make a version the champion: serving takes it up by itself."""
    from handful_core.registry import Registry

    with Registry(load(CoreSettings).mlflow_uri) as registry:
        _report(name, registry.promote(name, version).version, as_json=as_json)


def rollback(name: Name, as_json: AsJson = False) -> None:
    """Make the previous champion the champion again."""
    from handful_core.registry import Registry

    with Registry(load(CoreSettings).mlflow_uri) as registry:
        _report(name, registry.rollback(name).version, as_json=as_json)


def _report(name: str, version: int, *, as_json: bool) -> None:
    if as_json:
        print_json({"model": name, "champion": version})
    else:
        say(f"{name}: version {version} is champion; a running server takes it up by itself")
        say(f"next: handful predict photo.jpg --model {name}")
