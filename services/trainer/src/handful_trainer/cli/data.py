"""`handful data`: datasets that can be trained on."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from handful_core.console import print_json, print_table, say
from handful_core.settings import CoreSettings, load
from handful_trainer.cli.label_issues import label_issues

if TYPE_CHECKING:
    from handful_trainer.dataset.prepared import PreparedDataset
    from handful_trainer.dataset.sources.base import RawDataset

app = typer.Typer(help="Make datasets that can be trained on.", no_args_is_help=True, rich_markup_mode=None)
app.command("label-issues")(label_issues)

_DIFFERENCES = 40
"""Lines of differences that are shown."""

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@app.command()
def prepare(
    config: Annotated[Path, typer.Option("--config", "-c", metavar="FILE", help="The training's YAML file.")],
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a setting: section.key=value. May be repeated."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FOLDER", help="Folder to write to, instead of one in HANDFUL_HOME."),
    ] = None,
    splits: Annotated[
        Path | None,
        typer.Option(
            "--splits",
            metavar="FOLDER",
            help="Folder that remembers the splits of images, instead of one in HANDFUL_HOME.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Validate, clean and split a dataset. Write it in the layout of its task, with a report."""
    from handful_trainer.config import load_config, load_dataset_config
    from handful_trainer.dataset.preparation.prepare import prepare as make
    from handful_trainer.tasks import get_task

    task, chosen = load_dataset_config(config, overrides or [])
    core = load(CoreSettings)
    if ":/" in chosen.split.keep:  # MLflow takes a second to import, and is needed for nothing else here.
        from handful_trainer.pipeline.kept_splits import fetch_splits

        chosen = fetch_splits(chosen, core.home, core.mlflow_uri)
    note = ""
    if splits is None and get_task(task).engine is not None:
        from handful_trainer.pipeline.kept_splits import bring_back_splits

        model = load_config(config, overrides or []).mlflow.model_name
        note = bring_back_splits(chosen, model, core.home, core.mlflow_uri)
    dataset = make(chosen, core.home, output, task=task, splits=splits)
    if note:
        say(note)
    if as_json:
        print_json(_as_json(dataset))
        return
    _show(dataset)
    options = [word for each in overrides or [] for word in ("--set", each)]
    options += ["--data", str(output)] if output else []
    say(f"next: {shlex.join(['handful', 'train', '--config', str(config), *options])}")


@app.command()
def pull(
    dataset: Annotated[str, typer.Argument(help="The dataset's name in Picsellia. Not needed with --config.")] = "",
    version: Annotated[str, typer.Argument(help="The version's name.")] = "",
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", metavar="FILE", help="A training's YAML file whose source is picsellia."),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a setting: section.key=value. May be repeated."),
    ] = None,
    organisation: Annotated[str, typer.Option(metavar="NAME", help="Name or id of the organisation.")] = "",
    host: Annotated[str, typer.Option(metavar="URL", help="Address of the platform.")] = "",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FOLDER", help="Folder to pull into, instead of one in HANDFUL_HOME."),
    ] = None,
    accept_missing: Annotated[
        bool, typer.Option("--accept-missing", help="Go on without files that the platform does not have.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Bring a dataset version from Picsellia, or what changed in it. The token is read from PICSELLIA_TOKEN."""
    from handful_core.errors import ConfigError
    from handful_trainer.config import load_dataset_config
    from handful_trainer.dataset.picsellia.pull import pull as fetch
    from handful_trainer.dataset.picsellia.settings import PicselliaSettings
    from handful_trainer.dataset.settings import PicselliaConfig

    settings = load_dataset_config(config, overrides or [])[1] if config else None
    if settings and settings.source != "picsellia":
        raise ConfigError(
            f"{config} has the source {settings.source}", "dataset.source=picsellia is what can be pulled"
        )
    given = {"dataset": dataset, "version": version, "organisation": organisation, "host": host}
    given |= {"missing": "accept"} if accept_missing else {}
    wanted = (settings.picsellia if settings else PicselliaConfig()).model_copy(
        update={key: value for key, value in given.items() if value}
    )
    folder = output or (settings.path if settings else None)
    pulled = fetch(wanted, load(PicselliaSettings), load(CoreSettings).home, folder)
    if as_json:
        print_json({"folder": str(pulled.folder.resolve()), **pulled.as_json()})
        return
    say(str(pulled))
    if config:
        say(f"next: handful data prepare --config {config}")
    else:
        say(f"next: dataset.source=picsellia-export and dataset.path={pulled.folder} in a YAML file, then data prepare")


@app.command()
def push(
    dataset: Annotated[str, typer.Argument(help="The dataset's name in Picsellia; it is made if it is not there.")],
    version: Annotated[str, typer.Argument(help="The new version's name.")],
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", metavar="FILE", help="A training's YAML file: what its source holds is pushed."),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a setting: section.key=value. May be repeated."),
    ] = None,
    model: Annotated[
        str, typer.Option("--model", metavar="NAME", help="Push the reviewed pictures of this model instead.")
    ] = "",
    organisation: Annotated[str, typer.Option(metavar="NAME", help="Name or id of the organisation.")] = "",
    host: Annotated[str, typer.Option(metavar="URL", help="Address of the platform.")] = "",
    as_json: AsJson = False,
) -> None:
    """Send pictures and annotations to Picsellia as a new dataset version. The token is read from PICSELLIA_TOKEN."""
    from handful_trainer.dataset.picsellia.push import push as send
    from handful_trainer.dataset.picsellia.settings import PicselliaSettings, Target
    from handful_trainer.dataset.settings import PicselliaConfig

    named = {"dataset": dataset, "version": version, "organisation": organisation, "host": host}
    settings = load(PicselliaSettings)
    target = Target.from_settings(PicselliaConfig(**named), settings)
    home = load(CoreSettings).home
    task, raw = _source_of(config, overrides or [], model, home)
    pushed = send(raw, task, target, settings, home)
    if as_json:
        print_json(pushed.as_json())
        return
    say(str(pushed))
    say(f"next: {shlex.join(['handful', 'data', 'pull', dataset, version])} on any machine")


@app.command()
def export(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="A new folder.")],
    form: Annotated[str, typer.Option("--format", metavar="coco|yolo|folder", help="How to write it.")],
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", metavar="FILE", help="A training's YAML file: what its source holds."),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a setting: section.key=value. May be repeated."),
    ] = None,
    model: Annotated[
        str, typer.Option("--model", metavar="NAME", help="The reviewed pictures of this model instead.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Write reviewed pictures, or what any source holds, as COCO, YOLO, or a folder for each class."""
    from handful_trainer.dataset.export import export as write

    _, raw = _source_of(config, overrides or [], model, load(CoreSettings).home)
    written = write(raw, form, output)
    print_json(written.as_json()) if as_json else say(str(written))


@app.command()
def purge(
    data: Annotated[
        list[Path] | None,
        typer.Option("--data", metavar="FOLDER", help="A prepared dataset outside HANDFUL_HOME. May be repeated."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be removed, and remove nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove copies of captured pictures that somebody deleted: datasets prepared with them, and fetched files."""
    from handful_core.review import ReviewStore
    from handful_trainer.pipeline.purge import purge as remove

    core = load(CoreSettings)
    with ReviewStore.at(core.mlflow_uri) as store:
        purged = remove(store, core.home, data or [], dry_run=dry_run)
    print_json(purged.as_json()) if as_json else say(str(purged))


@app.command()
def diff(
    first: Annotated[Path, typer.Argument(help="A prepared dataset's folder, the older one.")],
    second: Annotated[Path, typer.Argument(help="The newer one.")],
    as_json: AsJson = False,
) -> None:
    """Tell what changed between two prepared datasets: images, boxes and labels added, removed, changed."""
    from handful_core.errors import DataError
    from handful_trainer.dataset.prepared import PreparedDataset

    older, newer = PreparedDataset.open(first), PreparedDataset.open(second)
    if older.task is not newer.task:
        raise DataError(f"{first} is for {older.task.name}, {second} for {newer.task.name}", "compare two of one task")
    found = older.task.labels.compare(older, newer)
    if as_json:
        print_json(found.as_json())
        return
    print_table("from the first to the second", ("", "added", "removed", "changed"), found.counts())
    for move, images in sorted(Counter(found.moved.values()).items()):
        say(f"{images} images moved: {move}")
    rows = found.rows()
    if rows:
        print_table("images in both", ("asset", "what", "which"), rows[:_DIFFERENCES])
    if len(rows) > _DIFFERENCES:
        say(f"and {len(rows) - _DIFFERENCES} more: see --json")
    say(f"{found.unchanged} images are the same in all")


def _source_of(config: Path | None, overrides: list[str], model: str, home: Path) -> tuple[str, RawDataset]:
    """The task and what is in the source that is named: that of a configuration, or a model's reviewed pictures."""
    from handful_core.errors import ConfigError
    from handful_trainer.config import load_dataset_config
    from handful_trainer.dataset.accounts import check_used
    from handful_trainer.dataset.settings import DatasetConfig
    from handful_trainer.dataset.sources.registry import open_source
    from handful_trainer.tasks import DEFAULT

    if (config is None) == (not model):
        raise ConfigError("give either --config or --model", "--model fingers takes the model's reviewed pictures")
    if config is not None:
        task, settings = load_dataset_config(config, overrides)
    else:
        task, settings = "", DatasetConfig(source="reviewed", model=model)
    source = open_source(settings, home)
    source.roots()
    raw = source.read()
    check_used(raw.accounts)
    return task or raw.made_for or DEFAULT, raw


def _as_json(dataset: PreparedDataset) -> dict[str, Any]:
    return {"folder": str(dataset.root), "data_yaml": str(dataset.description), **dataset.report}


def _show(dataset: PreparedDataset) -> None:
    report, noun = dataset.report, dataset.task.labels.noun
    splits = report["splits"]
    rows = [(name, *(splits[split][f"{noun}_per_class"][name] for split in splits)) for name in dataset.classes]
    rows.append(("images", *dataset.split_sizes.values()))
    print_table(f"{dataset.name}: {noun} by class", ("", *splits), rows)
    if accounts := report.get("accounts"):  # Folders of earlier versions have none.
        print_table("what was found", ("", "found", "used", "left out"), list(_account_rows(accounts)))
    say(f"{report['usable_images']} of {report['assets']} assets are usable")
    if ignored := report.get("source_splits_ignored"):
        say(f"{ignored} images have a split in the source, which is ignored (dataset.split.source)")
    say(f"dataset: {dataset.root}\nreport:  {dataset.root / 'report.html'}")


def _account_rows(accounts: list[dict[str, Any]]) -> Iterator[tuple[str, int, int, str]]:
    """A row for each kind of thing; behind it one for each reason why some are left out, with the first names."""
    for account in accounts:
        reasons = [_reason(reason, entry) for reason, entry in account["left_out"].items()]
        yield account["kind"], account["found"], account["used"], "\n".join(reasons)


def _reason(reason: str, entry: dict[str, Any]) -> str:
    more = entry["count"] - len(entry["first"])
    names = ", ".join(entry["first"]) + (f" and {more} more" if more else "")
    return f"{entry['count']} {reason}: {names}"
