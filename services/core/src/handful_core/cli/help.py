"""Help in plain words: what an option takes, where Typer would show Python's types."""

from __future__ import annotations

import re
from typing import Any

from typer.core import TyperCommand, TyperGroup

NUMBER = "NUMBER"
"""What options of numbers take, where they say nothing else. Options of words and files say it: `metavar`."""

_RANGES = (
    (re.compile(r"(\[|; )([-\d.e]+)<=x<=([-\d.e]+)"), r"\1\2 to \3"),
    (re.compile(r"(\[|; )x>=([-\d.e]+)"), r"\1\2 or more"),
    (re.compile(r"(\[|; )x<=([-\d.e]+)"), r"\1\2 at most"),
)


class PlainCommand(TyperCommand):
    """A command with plain help."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The usage line: arguments in capitals, those that may be left out in brackets."""
        usage = [self.options_metavar] if self.options_metavar else []
        for param in self.get_params(ctx):
            if param.param_type_name == "argument":
                name = _argument(param)
                usage.append(name if param.required else f"[{name}]")
        return usage

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Arguments, then options, each with what it takes."""
        _format(self, ctx, formatter)


class PlainGroup(TyperGroup):
    """A group of commands with plain help."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Options, then commands."""
        _format(self, ctx, formatter)
        self.format_commands(ctx, formatter)


def value_of(param: Any) -> str | None:
    """What an option takes, in a word; None if it takes nothing, or what it takes is not known."""
    if param.is_flag or param.count:
        return None
    described = param.type_descriptor
    if param.metavar:
        return str(param.metavar)
    if described.is_choice:
        return "|".join(str(getattr(choice, "value", choice)) for choice in described.choices or ())
    return NUMBER if described.annotation in {int, float} else None


def _format(command: TyperCommand | TyperGroup, ctx: Any, formatter: Any) -> None:
    shown = [(param, record[1]) for param in command.get_params(ctx) if (record := param.get_help_record(ctx))]
    arguments = [(_argument(param), _plain(text)) for param, text in shown if param.param_type_name == "argument"]
    options = [(_option(param), _plain(text)) for param, text in shown if param.param_type_name == "option"]
    for title, rows in (("Arguments", arguments), ("Options", options)):
        if rows:
            with formatter.section(title):
                formatter.write_dl(rows)


def _argument(param: Any) -> str:
    name = (param.metavar or param.name.rstrip("_")).upper()
    return name if param.nargs == 1 else f"{name}..."


def _option(param: Any) -> str:
    names = ", ".join(sorted(param.opts, key=lambda name: name.startswith("--")))
    if param.secondary_opts:
        names += f" / {', '.join(param.secondary_opts)}"
    word = value_of(param)
    return f"{names} {word}" if word else names


def _plain(text: str) -> str:
    for written, plain in _RANGES:
        text = written.sub(plain, text)
    return text
