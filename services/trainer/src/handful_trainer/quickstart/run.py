"""The quickstart itself: one step after the other."""

from __future__ import annotations

import os
import statistics
import time
from itertools import islice
from pathlib import Path

from handful_core.client import ServingClient
from handful_core.console import out, say
from handful_core.errors import HandfulError, NotFoundError, UnavailableError
from handful_core.registry import CHAMPION, Registry, Version
from handful_trainer.config import TrainingConfig, load_config
from handful_trainer.dataset.preparation.prepare import prepare
from handful_trainer.dataset.prepared import PreparedDataset
from handful_trainer.quickstart.options import Options, check
from handful_trainer.quickstart.plan import Plan
from handful_trainer.quickstart.ports import MLFLOW_PORT
from handful_trainer.quickstart.proxies import reach_local_servers_directly
from handful_trainer.quickstart.signals import interruptible
from handful_trainer.quickstart.stack import Stack, running_stack
from handful_trainer.quickstart.starter import bring_starter, has_starter
from handful_trainer.quickstart.steps import Steps
from handful_trainer.quickstart.training import train

_SERVED_SECONDS = 90
_TRIED = 100
"""Test images that the served model counts, at most."""


class QuickstartError(HandfulError):
    """A step failed."""


def quickstart(options: Options) -> None:
    """Bring everything up, show that it works, and stay until Ctrl-C.

    Raises:
        ConfigError: the configuration is wrong.
        QuickstartError: a step failed; the table says which.
    """
    config = load_config(options.config)
    steps = Steps()
    try:
        _run(options, config, steps)
    except KeyboardInterrupt:
        say("interrupted; run it again, it takes up what is there")
        raise
    except (HandfulError, OSError) as error:
        if not steps.failed:
            raise
        steps.show()
        raise QuickstartError(f"the step {steps.failed!r} failed: {error}") from error


def _run(options: Options, config: TrainingConfig, steps: Steps) -> None:
    reach_local_servers_directly(os.environ)
    with interruptible():
        with steps.step("check") as result:
            plan, running = check(options)
            result(
                "in use by another quickstart: its servers are taken" if running else "ports, disk and folders are fit"
            )
        with running_stack(plan, running) as stack:
            dataset = _dataset(plan, config, steps)
            with steps.step("servers", "waiting for MLflow and the API") as result:
                stack.wait_until_up()
                result(f"{plan.mlflow} and {plan.api} answer")
            _starter(plan, steps)
            champion = _champion(plan, config, steps)
            _try_out(plan, stack, champion, dataset, steps)
            steps.show()
            _show_addresses(plan)
            if plan.stay:
                stack.stay()


def _dataset(plan: Plan, config: TrainingConfig, steps: Steps) -> PreparedDataset:
    with steps.step("dataset") as result:
        dataset = prepare(config.dataset, plan.home)
        sizes = ", ".join(f"{images} {split}" for split, images in dataset.split_sizes.items())
        result(f"{dataset.name} ({config.dataset.source}): {sizes} images")
    return dataset


def _starter(plan: Plan, steps: Steps) -> None:
    if has_starter(plan):
        with steps.step("starter model", "importing the starter model") as result, Registry(plan.mlflow) as registry:
            result(bring_starter(plan, registry))


def _champion(plan: Plan, config: TrainingConfig, steps: Steps) -> Version:
    """The champion that there is, or the one that a training makes."""
    name = config.mlflow.model_name
    with Registry(plan.mlflow) as registry:
        if not plan.retrain and (known := _find_champion(registry, name)):
            steps.add("train", 0, f"{name} version {known.version} is champion already; --retrain trains again")
            return known
        with steps.step("train and register") as result:
            outcome = train(plan, config)
            result(outcome["reason"])
        for part in outcome["steps"]:
            if part["step"] != "prepare":
                steps.add(f"  {part['step']}", part["seconds"], part["result"])
        return registry.version(name, CHAMPION)


def _find_champion(registry: Registry, name: str) -> Version | None:
    try:
        return registry.version(name, CHAMPION)
    except NotFoundError:
        return None


def _try_out(plan: Plan, stack: Stack, champion: Version, dataset: PreparedDataset, steps: Steps) -> None:
    """Wait until the champion is served, and let it count images of the test split."""
    truths = {
        image: sum(dataset.counts.get(dataset.classes[i], 0) for i in ids.tolist())
        for image, (_, ids) in islice(dataset.split("test"), _TRIED)
    }
    with ServingClient(plan.api) as server:
        with steps.step("serve", f"waiting until version {champion.version} is served") as result:
            _wait_until_served(server, stack, champion, next(iter(truths)))
            result(f"{champion.name} version {champion.version} is served")
        with steps.step("predict", "sending test images") as result:
            answers = [server.predict(image, model=champion.name) for image in truths]
            right = sum(answer["count"] == truth for answer, truth in zip(answers, truths.values(), strict=True))
            median = statistics.median(answer["timings_ms"]["total"] for answer in answers)
            result(f"{right} of {len(answers)} test images counted as labelled, {median:.0f} ms each")


def _wait_until_served(server: ServingClient, stack: Stack, champion: Version, image: Path) -> None:
    until = time.monotonic() + _SERVED_SECONDS
    while True:
        stack.check()
        try:
            if server.predict(image, model=champion.name)["version"] == champion.version:
                return
            reason = "it still serves another version"
        except (NotFoundError, UnavailableError) as error:
            reason = error.message
        if time.monotonic() > until:
            raise UnavailableError(
                f"{champion.name} version {champion.version} is not served after {_SERVED_SECONDS} s ({reason})",
                f"see {server.address}/models and var/log/serve.log; --retrain makes another version",
            )
        time.sleep(0.3)


def _show_addresses(plan: Plan) -> None:
    where = {"dashboard": plan.api, "API": f"{plan.api}/docs", "MLflow": plan.mlflow, "logs": plan.logs}
    for what, address in where.items():
        out.print(f"{what:<10} {address}", highlight=False)
    if plan.mlflow_port != MLFLOW_PORT:
        say(f"for handful in another terminal: export HANDFUL_MLFLOW_URI={plan.mlflow}")
