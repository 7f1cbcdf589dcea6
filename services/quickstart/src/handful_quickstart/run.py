"""The quickstart itself: one step after the other."""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib.metadata import entry_points
from itertools import islice
from pathlib import Path
from typing import Any

from handful_core.client import ServingClient
from handful_core.console import Step, err, out, print_table, say
from handful_core.errors import DataError, HandfulError, NotFoundError, UnavailableError
from handful_core.interruption import INTERRUPTION
from handful_core.registry import CHAMPION, Registry, Version
from handful_core.registry.starters import STARTER_FILES, models_in_use, wanted_starters
from handful_core.running import RunningServers, announced
from handful_quickstart.plan import Options, Plan, check, locked_home, reach_local_servers_directly
from handful_quickstart.process import run_handful, signals_interrupt
from handful_quickstart.servers import Servers, running_servers
from handful_trainer.config import TrainingConfig, load_config
from handful_trainer.dataset.preparation.prepare import prepare
from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.pipeline.run_folder import open_run, unfinished_run
from handful_trainer.pipeline.weights import resolve_alias

_MODELS = Path("models")
_SERVED_SECONDS = 90
_TRIED = 100
"""Test images that the served model counts, at most."""


class QuickstartError(HandfulError):
    """A step failed."""


class Steps:
    """Shows each step when it ends, and all of them in a table."""

    def __init__(self, title: str = "Quickstart") -> None:
        """Begin.

        Args:
            title: what stands above the table.
        """
        self.title = title
        self.done: list[Step] = []

    @property
    def failed(self) -> str:
        """The name of the step that failed, if one did."""
        return next((step.name for step in self.done if step.failed), "")

    @contextmanager
    def step(self, name: str, waiting: str = "") -> Iterator[Step]:
        """Time a step.

        Args:
            name: what the table calls it.
            waiting: what is shown while it lasts; empty for a step that shows its own progress.
        """
        step = Step(name)
        try:
            with err.status(f"{waiting} …") if waiting else nullcontext(), step:
                yield step
        except (HandfulError, OSError):
            step.result = "failed"  # The line after the table says why.
            self.add(step)
            raise
        self.add(step)

    def add(self, step: Step) -> None:
        """Note a step that has ended."""
        self.done.append(step)
        say(f"[{len(self.done)}] {step.name}: {step.result} ({step.seconds:.1f} s)")

    def show(self) -> None:
        """The table."""
        rows = [(step.name, f"{step.seconds:.1f} s", step.result) for step in self.done]
        print_table(self.title, ("step", "time", "result"), rows)


def quickstart(options: Options) -> None:
    """Bring everything up, show that it works, and stay until Ctrl-C.

    Raises:
        ConfigError: the configuration is wrong.
        ResourceError: another quickstart runs in the home folder.
        QuickstartError: a step failed; the table says which.
    """
    config = load_config(options.config) if options.train else None
    steps = Steps("Quickstart" if options.train else "Servers")
    try:
        with signals_interrupt(), locked_home(options.home), INTERRUPTION.passed_on():
            _run(options, config, steps)
    except KeyboardInterrupt:
        say("interrupted; run it again, it takes up what is there")
        raise
    except (HandfulError, OSError) as error:
        if not steps.failed:
            raise
        steps.show()
        raise QuickstartError(f"the step {steps.failed!r} failed: {error}") from error


def _run(options: Options, config: TrainingConfig | None, steps: Steps) -> None:
    reach_local_servers_directly(os.environ)
    with steps.step("check") as step:
        plan = check(options)
        step.result = "ports, disk and folders are fit"
    with running_servers(plan) as servers:
        dataset = _prepare(plan, config, steps) if config else None  # While the servers start.
        with steps.step("servers", "waiting for MLflow and the API") as step:
            servers.wait_until_up()
            step.result = f"{plan.mlflow} and {plan.api} answer"
        with announced(plan.home, RunningServers(plan.api, plan.mlflow)):
            _import_starters(plan, steps)
            if config and dataset:
                champion = _champion(plan, config, steps)
                _try_out(plan, servers, champion, dataset, steps)
            steps.show()
            _show_addresses(plan)
            if plan.stay:
                model = f" --model {config.mlflow.model_name}" if config else ""
                say(f"next, in another terminal: source .venv/bin/activate, then `handful predict photo.jpg{model}`")
                servers.stay()
            else:
                say("next: run it again without --exit, and the servers stay up at these addresses")


def _prepare(plan: Plan, config: TrainingConfig, steps: Steps) -> PreparedDataset:
    with steps.step("dataset") as step:
        dataset = prepare(config.dataset, plan.home, task=config.task)
        sizes = ", ".join(f"{images} {split}" for split, images in dataset.split_sizes.items())
        step.result = f"{dataset.name} ({config.dataset.source}): {sizes} images"
    return dataset


def _import_starters(plan: Plan, steps: Steps) -> None:
    """Import the starter models into a registry that nobody uses: something is served before anything is trained."""
    there = [name for name in plan.starters if (plan.folder / _MODELS / STARTER_FILES[name]).is_file()]
    if not there or not entry_points(group="handful.commands", name="import"):
        return
    step_name = "starter model" if len(there) == 1 else "starter models"
    with steps.step(step_name, f"importing the {step_name}") as step, Registry(plan.mlflow) as registry:
        in_use = models_in_use(registry)
        wanted = wanted_starters(there, in_use)
        if not wanted:
            missing = [_MODELS / STARTER_FILES[name] for name in there if name not in in_use]
            by_hand = "".join(f"; `handful import {path.as_posix()}` brings another" for path in missing)
            step.result = f"the registry has {', '.join(sorted(in_use))} already{by_hand}"
            return
        for name in wanted:
            _import_backup(_MODELS / STARTER_FILES[name], plan)
        names = " and ".join(f"{model.name} ({', '.join(model.aliases)})" for model in registry.models())
        step.result = f"served at {plan.api} from now on: {names}"


def _import_backup(backup: Path, plan: Plan) -> None:
    words = ["import", "--as-starter", str(backup), "--json"]
    code, _ = run_handful(words, plan.environment(os.environ), plan.folder)
    if code:
        raise HandfulError(f"the import of {backup} ended with code {code}", "its own line above says why")


def _champion(plan: Plan, config: TrainingConfig, steps: Steps) -> Version:
    """The champion that there is, or the one that a training makes."""
    name = config.mlflow.model_name
    with Registry(plan.mlflow) as registry:
        if not plan.retrain and (known := _find_champion(registry, name)):
            result = f"{name} version {known.version} is champion already; --retrain trains again"
            steps.add(Step("train", result))
            return known
        with steps.step("train and register") as step:
            outcome = train(plan, config)
            step.result = outcome["reason"]
        for part in outcome["steps"]:
            if part["step"] != "prepare":
                steps.add(Step(f"  {part['step']}", part["result"], part["seconds"]))
        return registry.version(name, CHAMPION)


def _find_champion(registry: Registry, name: str) -> Version | None:
    try:
        return registry.version(name, CHAMPION)
    except NotFoundError:
        return None


def train(plan: Plan, config: TrainingConfig) -> dict[str, Any]:
    """Train, or resume a training of this configuration that was interrupted.

    It runs as a process of its own, which gives its memory back; its progress goes to the terminal.

    Returns:
        What `handful train --json` prints.

    Raises:
        HandfulError: it failed; it has said why.
    """
    interrupted = None if plan.retrain else _interrupted_run(plan.home, resolve_alias(config, plan.mlflow))
    if interrupted:
        say(f"going on with the training {interrupted.name}, which was interrupted")
    which = ["--resume", "--run", str(interrupted)] if interrupted else ["--config", str(plan.config)]
    code, output = run_handful(["train", *which, "--json"], plan.environment(os.environ), plan.folder)
    if code:
        raise HandfulError(f"the training ended with code {code}", "its own line above says why; --retrain begins anew")
    result: dict[str, Any] = json.loads(output)
    return result


def _interrupted_run(home: Path, config: TrainingConfig) -> Path | None:
    """The folder of the newest training, if it has this configuration and did not end."""
    try:
        folder, its_config = open_run(unfinished_run(home).path)
    except (NotFoundError, DataError):
        return None
    return folder.path if its_config == config else None


def _try_out(plan: Plan, servers: Servers, champion: Version, dataset: PreparedDataset, steps: Steps) -> None:
    """Wait until the champion is served, and let it answer images of the test split."""
    samples = list(islice(dataset.split("test"), _TRIED))
    with ServingClient(plan.api) as server:
        with steps.step("serve", f"waiting until version {champion.version} is served") as step:
            _wait_until_served(server, servers, champion, samples[0][0], plan.logs / "serve.log")
            step.result = f"{champion.name} version {champion.version} is served"
        with steps.step("predict", "sending test images") as step:
            answers = [server.predict(image, model=champion.name) for image, _ in samples]
            labelled = zip(answers, samples, strict=True)
            right = sum(dataset.task.is_right(answer, dataset, labels) for answer, (_, labels) in labelled)
            median = statistics.median(answer["timings_ms"]["total"] for answer in answers)
            step.result = (
                f"{right} of {len(answers)} test images {dataset.task.answered} as labelled, {median:.0f} ms each"
            )


def _wait_until_served(server: ServingClient, servers: Servers, champion: Version, image: Path, log: Path) -> None:
    until = time.monotonic() + _SERVED_SECONDS
    while True:
        servers.check()
        try:
            if server.predict(image, model=champion.name)["version"] == champion.version:
                return
            reason = "it still serves another version"
        except (NotFoundError, UnavailableError) as error:
            reason = error.message
        if time.monotonic() > until:
            raise UnavailableError(
                f"{champion.name} version {champion.version} is not served after {_SERVED_SECONDS} s ({reason})",
                f"see {server.address}/models and {log}; --retrain makes another version",
            )
        time.sleep(0.3)


def _show_addresses(plan: Plan) -> None:
    where = {
        "dashboard": plan.api,
        "API": f"{plan.api}/docs",
        "MLflow": f"{plan.mlflow}/#/models?workflowType=machine_learning",
        **({"monitoring": f"{plan.api}/#monitoring"} if plan.monitor else {}),
        "logs": plan.logs,
    }
    for what, address in where.items():
        out.print(f"{what:<11} {address}", highlight=False)
