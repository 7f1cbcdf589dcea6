"""`handful data label-issues`."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from handful_core.console import only_results_on_stdout, print_json, print_table, say
from handful_core.errors import ConfigError
from handful_core.settings import CoreSettings, load
from handful_trainer.cli.packages import opened_package

if TYPE_CHECKING:
    from handful_core.package import Package
    from handful_trainer.dataset.label_issues.issue import FoundIssues
    from handful_trainer.dataset.prepared import PreparedDataset

_SHOWN = 15
"""Rows of the table."""
_REVIEWED = 200
"""Pictures that are put up for review at most: those of the page."""


def label_issues(
    data: Annotated[
        Path,
        typer.Option("--data", metavar="FOLDER", help="A prepared dataset's folder, or any in a task's layout."),
    ],
    package: Annotated[
        Path | None, typer.Option("--package", metavar="FILE", help="A model package: folder or ZIP file.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="MODEL",
            help="models:/NAME@ALIAS or models:/NAME/VERSION. Boxes need a model, classes do without.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FOLDER", help="Folder for issues.json and issues.html; the dataset's otherwise."
        ),
    ] = None,
    review: Annotated[
        bool, typer.Option("--review", help="Put the first 200 pictures up for review in the dashboard, too.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the content of issues.json.")] = False,
) -> None:
    """Rank the labels that are probably wrong, the most suspicious first, as a page with pictures."""
    from handful_trainer.dataset.label_issues.issue import ISSUES_FILE, write_issues
    from handful_trainer.dataset.label_issues.issue import as_json as written
    from handful_trainer.dataset.label_issues.page import PAGE, write_page

    core = load(CoreSettings)
    if review and model is None and package is None:
        raise ConfigError("reviewed pictures belong to a model, and none is named", "name it with --model")
    with only_results_on_stdout(), _package(package, model, core.mlflow_uri) as opened:
        dataset, found, judge = _found(opened, data, core.home)
        put_up = _put_up(opened, found, model, core.mlflow_uri) if opened and review else ""
    content = written(found, dataset, judge)
    folder = output or dataset.root
    folder.mkdir(parents=True, exist_ok=True)
    write_issues(folder / ISSUES_FILE, content)
    write_page(folder / PAGE, content)
    if as_json:
        print_json(content)
    else:
        _show(content)
    say(f"issues: {folder / ISSUES_FILE}\npage:   {folder / PAGE}")
    if put_up:
        say(put_up)


@contextlib.contextmanager
def _package(path: Path | None, model: str | None, uri: str) -> Iterator[Package | None]:
    """The package that is named, None if none is."""
    if path is None and model is None:
        yield None
        return
    with opened_package(path, model, uri) as package:
        yield package


def _put_up(package: Package, found: FoundIssues, reference: str | None, uri: str) -> str:
    """Put pictures up for review; what became of them, for people."""
    from handful_core.registry import Registry, parse_reference
    from handful_core.review import ReviewStore
    from handful_trainer.dataset.label_issues.review import Judge, put_up

    name, version = package.manifest.name, ""
    if reference:
        name, which = parse_reference(reference)
        with Registry(uri) as registry:
            version = str(registry.version(name, which).version)
    judge = Judge(name, version, package.digest, package.manifest.task)
    with ReviewStore.at(uri) as store:
        done = put_up(store, found, judge, _REVIEWED)
    deleted = f"; {done.deleted} were deleted before, and stay so" if done.deleted else ""
    return f"{done.waiting} pictures of the model {name} are up for review{deleted}"


def _found(package: Package | None, data: Path, home: Path) -> tuple[PreparedDataset, FoundIssues, str]:
    """The dataset, what was found in it, and what judged its labels."""
    import dataclasses

    from handful_core.runtime.model import load_model
    from handful_trainer.dataset.prepared import PreparedDataset

    dataset = PreparedDataset.open(data, otherwise=package.manifest.task if package else "detect")
    task = dataset.task
    if package is None:
        return dataset, task.find_label_issues(None, dataset), "features of ImageNet"
    if package.manifest.task != task.package_task:
        raise ConfigError(
            f"the model is one for {package.manifest.task}, the dataset one for {task.package_task}",
            "name a model for the same task",
        )
    if task.engine is not None:
        task.engine.configure(home)
    found = task.find_label_issues(load_model(package), dataset)
    notes = (*_seen_notes(package, dataset), *found.notes)
    judge = f"{package.manifest.name} ({package.manifest.architecture}, package {package.digest[:12]})"
    return dataset, dataclasses.replace(found, notes=notes), judge


def _seen_notes(package: Package, dataset: PreparedDataset) -> Iterator[str]:
    """What is said where the model may have learnt the very labels that it judges."""
    from handful_core.package import seen_by
    from handful_trainer.dataset.prepared import ASSETS

    seen, listed = seen_by(package), dataset.root / ASSETS
    if not seen.complete and not seen.phashes:
        yield "nobody knows what the model was trained on: it does not see faults that it learnt"
    elif dataset.report and listed.is_file():
        entries = [json.loads(line) for line in listed.read_text(encoding="utf-8").splitlines()]
        images = [entry for entry in entries if entry["image"]]
        known = sum(entry["sha256"] in seen.phashes for entry in images)
        if known:
            yield (
                f"the model was trained on {known} of the {len(images)} images: it does not see faults that it learnt "
                "from them. One that was trained on other images sees more"
            )


def _show(content: Mapping[str, Any]) -> None:
    issues = content["issues"]
    rows = [
        (issue["rank"], issue["kind"], _named(issue["given"]), _named(issue["proposed"]), f"{issue['score']:.2f}",
         issue["image"])
        for issue in issues[:_SHOWN]
    ]  # fmt: skip
    print_table("labels that are probably wrong", ("", "what", "label", "model", "score", "image"), rows)
    kinds = Counter(issue["kind"] for issue in issues if issue["score"] >= 0.5)
    found = ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items())) or "none"
    say(f"{content['checked']['labels']} labels of {content['checked']['images']} images, with a score of 0.5: {found}")
    for note in content["notes"]:
        say(f"note: {note}")


def _named(named: Mapping[str, Any] | None) -> str:
    return named["name"] if named else ""
