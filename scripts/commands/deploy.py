"""deploy: Handful on Kubernetes, in two colours of which one answers."""

from __future__ import annotations

import json
import os
from argparse import Namespace
from collections.abc import Callable, Mapping
from pathlib import Path

from commands.parser import ROOT, ScriptParser
from commands.stack import guarded
from compose.errors import CONFIG, ComposeError
from console import print_status
from delivery import checks, images
from delivery.imports import import_file
from delivery.kubectl import Kubectl, render
from delivery.release import Release
from delivery.status import lines, status

_TEXT = """
Delivers Handful to the Kubernetes cluster of your kubeconfig. Serving is there in two colours, blue and green: one
answers, the other comes up beside it, is asked the golden images of all served models and many more requests, and then
the Service switches to it. Back is one command.

commands:
  check                  look whether everything is there; changes nothing
  build                  build the images; with --registry push them and write their digests into the manifests
  deploy                 bring up what is shared and the colour that does not answer, test it, and with --switch let
                         it answer
  test                   ask the colour that does not answer (with --live the one that does)
  switch                 let the tested colour answer
  rollback               let the colour answer that did before the switch
  status                 show both colours
  import                 bring a backup into the cluster: --file
"""
_EPILOG = """
docs/kubernetes.md goes from an empty cluster to a served model. Exit codes: 8 a colour did not pass, and those of up.
"""
_STARTERS = {"fingers": "starter.zip", "leaves": "leaves.zip"}
"""Starter models, as STARTER_MODEL of Compose names them, in models/."""


def deploy(parser: ScriptParser, argv: list[str]) -> int:
    """`scripts/deploy`."""
    parser.usage = f"{parser.script} [options] COMMAND"
    parser.describe(_TEXT, _EPILOG)
    parser.add_argument(
        "--overlay",
        metavar="NAME",
        default="single",
        help="single, production, gpu, monitoring, or your own folder: single",
    )
    parser.add_argument("--context", metavar="NAME", default="", help="context of your kubeconfig: the current one")
    parser.add_argument("--namespace", metavar="NAME", default="handful", help="the overlay's namespace: handful")
    parser.add_argument("--registry", metavar="PLACE", default="", help="with build: such as ghcr.io/you/handful")
    parser.add_argument("--tag", metavar="TAG", default="", help="with build: the images' tag in the registry")
    parser.add_argument(
        "--version",
        metavar="TAG",
        default=os.environ.get("HANDFUL_VERSION", ""),
        help="with deploy: version of the images; HANDFUL_VERSION, else that of the manifests",
    )
    parser.add_argument("--starter", metavar="NAMES", default="fingers", help="starter models of a new installation")
    parser.add_argument("--switch", action="store_true", help="with deploy: let it answer once it has passed")
    parser.add_argument("--live", action="store_true", help="with test: the colour that answers")
    parser.add_argument("--untested", action="store_true", help="with switch: also if it has not passed")
    parser.add_argument("--requests", metavar="N", type=int, default=200, help="requests of a test: 200")
    parser.add_argument("--key-file", metavar="FILE", help="file with the API key of a test: deliveries' own")
    parser.add_argument("--seconds", metavar="N", type=int, default=900, help="how long pods may take: 900")
    parser.add_argument("--file", metavar="FILE", help="with import: the backup")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    command, words = (argv[0], argv[1:]) if argv and not argv[0].startswith("-") else ("", argv)
    options = parser.parse_args(words)
    if options.requests < 1 or options.seconds < 1:
        parser.error("--requests and --seconds are numbers from 1 on")
    if command not in _COMMANDS:
        parser.error(f"there is no command {command}" if command else "name a command")
    if command == "build":
        return guarded(lambda: _build(options))
    return guarded(lambda: _COMMANDS[command](Kubectl(options.namespace, options.context), options))


def _build(options: Namespace) -> None:
    names = images.built_for(render(_overlay(options)))
    images.build(ROOT, names, options.registry, options.tag)


def _check(kubectl: Kubectl, options: Namespace) -> int:
    found = list(checks.look(kubectl, _overlay(options)))
    if options.json:
        print(json.dumps([each._asdict() for each in found], indent=2))  # noqa: T201  # The result.
    else:
        for each in found:
            print(f"{each.state:8}{each.what:10}{each.detail}")  # noqa: T201
    return int(any(each.state == "broken" for each in found))


def _deploy(kubectl: Kubectl, options: Namespace) -> int:
    kubectl.require()
    starters = _starters(options.starter)
    manifests = render(_overlay(options))
    if options.version:
        manifests = images.with_version(manifests, options.version)
    checks.validate(kubectl.namespace, manifests)
    print_status(f"delivering to {kubectl.context()}, namespace {kubectl.namespace}")
    release = Release(kubectl, options.seconds)
    before = release.live()
    colour = release.deploy(manifests, starters)
    _ask(release, colour, options)
    if before is None:
        print_status(f"{colour} answers: kubectl -n {kubectl.namespace} port-forward service/dashboard 8080")
    elif options.switch:
        release.switch()
    else:
        print_status(f"{colour} has passed; {before} answers: scripts/deploy switch changes that")
    return 0


def _test(kubectl: Kubectl, options: Namespace) -> int:
    kubectl.require()
    release = Release(kubectl, options.seconds)
    live = release.live()
    if live is None:
        raise ComposeError("nothing is delivered yet: run scripts/deploy deploy", CONFIG)
    idle = "green" if live == "blue" else "blue"
    colour = live if options.live or release.deployment(idle) is None else idle
    report = _ask(release, colour, options)
    if options.json:
        print(json.dumps({"colour": colour, **report}, indent=2))  # noqa: T201
    return 0


def _ask(release: Release, colour: str, options: Namespace) -> dict[str, object]:
    print_status(f"asking {colour} {options.requests} times")
    key = _read_key(options.key_file) if options.key_file else os.environ.get("HANDFUL_API_KEY", "")
    report = release.test(colour, options.requests, key)
    median, slow = report["seconds"] or (0, 0)
    models = ", ".join(report["models"])
    print_status(
        f"{colour} passes: golden images of {models} right, {report['requests']} requests answered, none wrong; "
        f"median {median * 1000:.0f} ms, 95 % within {slow * 1000:.0f} ms"
    )
    return report


def _read_key(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ComposeError(f"the key {path} cannot be read ({error}): correct --key-file", CONFIG) from error


def _switch(kubectl: Kubectl, options: Namespace) -> int:
    kubectl.require()
    Release(kubectl, options.seconds).switch(untested=options.untested)
    return 0


def _rollback(kubectl: Kubectl, options: Namespace) -> int:
    kubectl.require()
    Release(kubectl, options.seconds).rollback()
    return 0


def _status(kubectl: Kubectl, options: Namespace) -> int:
    kubectl.require()
    found = status(kubectl)
    print(json.dumps(found, indent=2) if options.json else "\n".join(lines(found)))  # noqa: T201
    return 0


def _import(kubectl: Kubectl, options: Namespace) -> int:
    if not options.file:
        raise ComposeError("import needs a file: --file BACKUP.zip", CONFIG)
    kubectl.require()
    import_file(kubectl, Path(options.file))
    return 0


def _overlay(options: Namespace) -> Path:
    """A folder of your own, or one of ours by its name."""
    ours = ROOT / "deploy" / "kubernetes" / "overlays" / options.overlay
    folder = ours if "/" not in options.overlay and ours.is_dir() else Path(options.overlay).resolve()
    if not (folder / "kustomization.yaml").is_file():
        known = ", ".join(sorted(path.name for path in ours.parent.iterdir()))
        raise ComposeError(f"{options.overlay} is no overlay: they are {known}, or a folder of yours", CONFIG)
    return folder


def _starters(names: str) -> list[Path]:
    wanted = [name.strip() for name in names.split(",") if name.strip() not in {"", "none"}]
    if unknown := [name for name in wanted if name not in _STARTERS]:
        raise ComposeError(f"there is no starter model {unknown[0]}: {', '.join(_STARTERS)}, or none", CONFIG)
    return [ROOT / "models" / _STARTERS[name] for name in wanted]


_COMMANDS: Mapping[str, Callable[[Kubectl, Namespace], int]] = {
    "check": _check,
    "build": lambda *_: 0,
    "deploy": _deploy,
    "test": _test,
    "switch": _switch,
    "rollback": _rollback,
    "status": _status,
    "import": _import,
}
