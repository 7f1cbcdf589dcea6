"""`handful monitor`: has what a served model is asked and answers changed?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from handful_core import logs
from handful_core.console import out, print_json, print_table, say
from handful_core.errors import ConfigError, NotFoundError, RefusedError
from handful_core.listening import leave_signals_to_uvicorn, listen
from handful_core.settings import CoreSettings, load
from handful_monitor.settings import MonitorSettings

if TYPE_CHECKING:
    from handful_monitor.domain.verdict import Verdict
    from handful_monitor.report import Parts

monitor = typer.Typer(help="See whether what a served model is asked and answers has changed.", no_args_is_help=True)

_THIS_MACHINE = {"127.0.0.1", "localhost", "::1"}
_SECONDS = 60
"""For one answer of MLflow."""
Model = Annotated[str | None, typer.Argument(help="The model. If not given, all that have a prediction log.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Check = Annotated[bool, typer.Option("--check", help="End with exit code 8 if anything has changed.")]
Version = Annotated[str | None, typer.Option("--version", metavar="NUMBER", help="Only this version.")]
Source = Annotated[str | None, typer.Option("--source", metavar="NAME", help="Only this source: a camera or client.")]
Days = Annotated[int | None, typer.Option("--days", min=1, help="Leave out what is older.")]


@monitor.command()
def report(
    model: Model = None,
    version: Version = None,
    source: Source = None,
    rows: Annotated[int | None, typer.Option("--rows", min=200, help="Answers in a window.")] = None,
    days: Days = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FOLDER", help="Folder for Evidently's reports.")
    ] = None,
    keep: Annotated[bool, typer.Option("--log/--no-log", help="Keep the verdicts in MLflow.")] = True,
    check: Check = False,
    as_json: AsJson = False,
) -> None:
    """Compare the newest answers with what the model was accepted on."""
    from handful_monitor.report import ReportRequest, report_on

    with _opened() as parts:
        request = ReportRequest(version, source, rows or parts.settings.rows, days or parts.settings.days, html, keep)
        verdicts = [verdict for name in parts.models(model) for verdict in report_on(name, request, parts)]
    if not verdicts:
        raise NotFoundError(
            _nothing(model, version, source), "ask the server something, or give it a minute to close a segment"
        )
    _show([verdict.document for verdict in verdicts], as_json=as_json, check=check)


@monitor.command()
def status(model: Model = None, days: Days = None, check: Check = False, as_json: AsJson = False) -> None:
    """Show the newest verdict of `handful monitor watch` on each version and source."""
    from handful_monitor.history import VerdictHistory

    with _opened() as parts:
        since = _since(days or parts.settings.days)
        found = {name: VerdictHistory(name, parts.experiments).newest(since) for name in parts.models(model)}
    documents = [document for verdicts in found.values() for document in verdicts.values()]
    if not documents and not as_json:
        say("there is no verdict yet: `handful monitor watch` makes them")
        return
    _show(documents, as_json=as_json, check=check)


@monitor.command()
def watch(
    model: Model = None,
    every: Annotated[float, typer.Option("--every", min=1, help="Seconds between two rounds.")] = 60,
    once: Annotated[bool, typer.Option("--once", help="One round, as for a timer of your own.")] = False,
    port: Annotated[
        int | None, typer.Option("--port", min=1, max=65535, help="Say what is known over HTTP, on this port.")
    ] = None,
) -> None:
    """Give each version and source a verdict whenever its window is full, and keep it in MLflow."""
    from handful_monitor.report import Watches
    from handful_monitor.watch import watch as go_round

    if once and port:
        raise ConfigError("--once ends after one round, --port answers until Ctrl-C", "leave one out")
    with _opened() as parts:
        if once:
            for one in Watches(parts, model).now():
                for verdict in one.once():
                    _tell(verdict)
            return
        if port or parts.settings.port:
            _listen(parts, model, every, port or parts.settings.port)
            return
        say(f"watching {model or 'all models'} of {parts.registry.uri}; Ctrl-C ends it")
        go_round(Watches(parts, model).now, _tell, every)


def _listen(parts: Parts, model: str | None, every: float, port: int | None) -> None:
    from handful_monitor.server import Service

    settings = parts.settings
    with listen(settings.host, port or 0) as listening:
        logs.configure(settings.log_level)
        service = Service(parts, model, _tell, every)
        leave_signals_to_uvicorn()
        say(
            f"watching {model or 'all models'} of {parts.registry.uri}; verdicts at"
            f" http://{settings.host}:{listening.getsockname()[1]}/verdicts; Ctrl-C ends it"
        )
        if settings.host not in _THIS_MACHINE:
            say(f"it listens on {settings.host} and asks for no key: keep others away from this port")
        service.run(listening)


def _tell(verdict: Verdict) -> None:
    say(f"{verdict.stream}: {_line(verdict.document)}")


@contextmanager
def _opened() -> Iterator[Parts]:
    from handful_core.registry import Registry
    from handful_core.registry.monitoring import MonitoringExperiments
    from handful_core.review import ReviewStore
    from handful_monitor.judge import Judge
    from handful_monitor.references import References
    from handful_monitor.report import Parts

    core, settings = load(CoreSettings), load(MonitorSettings)
    with (
        Registry(core.mlflow_uri, timeout=_SECONDS) as registry,
        MonitoringExperiments(core.mlflow_uri, timeout=_SECONDS) as experiments,
        ReviewStore.at(core.mlflow_uri, _SECONDS) as reviews,
    ):
        yield Parts(settings, core.home, experiments, registry, Judge(References(registry)), reviews)


def _since(days: int) -> datetime:
    return datetime.now(UTC) - timedelta(days=days)


def _nothing(model: str | None, version: str | None, source: str | None) -> str:
    asked = " ".join(filter(None, (model, version and f"version {version}", source and f"source {source}")))
    return f"no prediction log has rows of {asked or 'any model'}"


def _show(documents: Sequence[Mapping[str, Any]], *, as_json: bool, check: bool) -> None:
    if as_json:
        print_json(list(documents))
    else:
        rows = [
            (d["model"], d["version"], d["source"] or "-", d["verdict"], d["window"]["rows"], _to(d)) for d in documents
        ]
        print_table("Verdicts", ("model", "version", "source", "verdict", "rows", "to (UTC)"), rows)
        for document in documents:
            out.print(f"{_name(document)}: {_line(document)}", highlight=False, markup=False)
    changed = [d for d in documents if d["verdict"] == "changed"]
    if check and changed:
        raise RefusedError(
            f"{len(changed)} of {len(documents)} have changed",
            "look at some of the pictures before you act: docs/alerts.md, HandfulDrift",
        )


def _name(document: Mapping[str, Any]) -> str:
    source = document["source"]
    return f"{document['model']} version {document['version']}" + (f", source {source}" if source else "")


def _to(document: Mapping[str, Any]) -> str:
    to = document["window"]["to"]
    return to[:16].replace("T", " ") if to else "-"


def _line(document: Mapping[str, Any]) -> str:
    """The verdict in words."""
    said = [f["says"] for f in document["features"] if f["changed"]]
    once = [f["says"] for f in document["features"] if f["differs"] and not f["changed"]]
    parts = [document["verdict"], *said[:3]]
    if len(said) > 3:
        parts.append(f"and {len(said) - 3} more")
    if once and not said:
        parts.append(f"differs in this window alone so far: {once[0]}")
    return ". ".join([*parts, *document["notes"]])
