"""From a journal's entries to MLflow's calls."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from mlflow.entities import Dataset, DatasetInput, InputTag, LifecycleStage, Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, RESOURCE_DOES_NOT_EXIST, ErrorCode
from mlflow.tracking import MlflowClient

from handful_core.errors import HandfulError, UnavailableError, redact_credentials
from handful_core.retrying import is_transient_status
from handful_trainer.tracking.journal import Entry


def configure_client() -> None:
    """Let MLflow's client give up soon (the tracker tries again by itself), and keep it from writing to stdout."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")


def is_transient(error: BaseException) -> bool:
    """Is this a fault of the moment (a lost server), rather than something MLflow will never accept?"""
    if isinstance(error, FileNotFoundError):
        return False
    if isinstance(error, MlflowException):
        return is_transient_status(int(error.get_http_status_code()))  # type: ignore[no-untyped-call]
    return isinstance(error, OSError)


def send(client: MlflowClient, run_id: str, entry: Entry) -> None:
    """Make the call that an entry stands for. All of them may be made twice without harm."""
    _CALLS[entry["kind"]](client, run_id, entry)


def find_experiment(uri: str, name: str) -> str:
    """The id of an experiment, which is made where it is missing.

    Raises:
        UnavailableError: MLflow does not answer.
    """
    with _answering(uri):
        client = MlflowClient(uri)
        found = client.get_experiment_by_name(name)
        return str(found.experiment_id) if found else _create_experiment(client, name)


def _create_experiment(client: MlflowClient, name: str) -> str:
    """Make the experiment, or take it up where another training made it in the meantime."""
    try:
        return str(client.create_experiment(name))
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_ALREADY_EXISTS):
            raise
        found = client.get_experiment_by_name(name)
        if found is None:
            raise
        return str(found.experiment_id)


def start_run(uri: str, experiment_id: str, name: str, tags: dict[str, str]) -> str:
    """Create a run.

    Returns:
        The run's id.

    Raises:
        UnavailableError: MLflow does not answer.
    """
    with _answering(uri):
        return str(MlflowClient(uri).create_run(experiment_id, run_name=name, tags=tags).info.run_id)


@contextlib.contextmanager
def ended_on_error(uri: str, run_id: str) -> Iterator[None]:
    """End a run that nobody manages yet when its preparation fails (FAILED) or is interrupted (KILLED).

    Else it would stand in MLflow as RUNNING for ever: a full disk or Ctrl-C can come between `start_run` and
    `managed_run`.
    """
    try:
        yield
    except BaseException as error:
        status = "FAILED" if isinstance(error, Exception) else "KILLED"
        with contextlib.suppress(MlflowException, OSError):  # The first error is the one to tell.
            MlflowClient(uri).set_terminated(run_id, status=status)
        raise


@contextlib.contextmanager
def _answering(uri: str) -> Iterator[None]:
    """A lost server as one line."""
    try:
        yield
    except (MlflowException, OSError) as error:
        if is_transient(error):
            raise UnavailableError(
                f"MLflow at {redact_credentials(uri)} does not answer",
                "start it (scripts/serve --embedded), or set HANDFUL_MLFLOW_URI to where it runs",
            ) from error
        raise HandfulError(f"MLflow at {redact_credentials(uri)} refuses ({error})") from error


def _params(client: MlflowClient, run_id: str, entry: Entry) -> None:
    client.log_batch(run_id, params=[Param(key, value) for key, value in entry["values"]])


def _metrics(client: MlflowClient, run_id: str, entry: Entry) -> None:
    metrics = [Metric(key, float(value), entry["time"], entry["step"]) for key, value in entry["values"]]
    client.log_batch(run_id, metrics=metrics)


def _tags(client: MlflowClient, run_id: str, entry: Entry) -> None:
    client.log_batch(run_id, tags=[RunTag(key, value) for key, value in entry["values"]])


def _artifact(client: MlflowClient, run_id: str, entry: Entry) -> None:
    path, folder = Path(entry["path"]), entry["folder"] or None
    if not path.exists():
        raise FileNotFoundError(f"{path} is gone")
    if path.is_dir():
        client.log_artifacts(run_id, str(path), folder)
    else:
        client.log_artifact(run_id, str(path), folder)


def _dataset(client: MlflowClient, run_id: str, entry: Entry) -> None:
    tags = [InputTag("mlflow.data.context", entry["context"])]
    client.log_inputs(run_id, datasets=[DatasetInput(Dataset(**entry["record"]), tags)])


def _status(client: MlflowClient, run_id: str, entry: Entry) -> None:
    if entry["status"] == "RUNNING":
        client.update_run(run_id, status="RUNNING")
    else:
        client.set_terminated(run_id, status=entry["status"], end_time=entry["time"])


_CALLS: dict[str, Callable[[MlflowClient, str, Entry], None]] = {
    "params": _params,
    "metrics": _metrics,
    "tags": _tags,
    "artifact": _artifact,
    "dataset": _dataset,
    "status": _status,
}


def existing_run(uri: str, run_id: str | None) -> str | None:
    """The run's id, if this MLflow has it; None if it has not, or it was deleted.

    Raises:
        UnavailableError: MLflow does not answer.
    """
    if run_id is None:
        return None
    with _answering(uri):
        try:
            info = MlflowClient(uri).get_run(run_id).info
        except MlflowException as error:
            if error.error_code != ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
                raise
            return None
    return run_id if info.lifecycle_stage == LifecycleStage.ACTIVE else None


def log_metrics(uri: str, run_id: str, values: Mapping[str, float]) -> None:
    """Log metrics to a run, at step 0.

    Raises:
        HandfulError: there is no such run.
        UnavailableError: MLflow does not answer.
    """
    now = int(time.time() * 1000)
    with _answering(uri):
        MlflowClient(uri).log_batch(run_id, metrics=[Metric(key, value, now, 0) for key, value in values.items()])


def end_run(uri: str, run_id: str, status: str, tags: Mapping[str, str]) -> None:
    """Mark a run as ended.

    Args:
        uri: MLflow's address.
        run_id: the run.
        status: FINISHED, FAILED or KILLED.
        tags: more to say of it.

    Raises:
        HandfulError: there is no such run.
        UnavailableError: MLflow does not answer.
    """
    with _answering(uri):
        client = MlflowClient(uri)
        if tags:
            client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])
        client.set_terminated(run_id, status=status)


def mlflow_name(name: str) -> str:
    """The name of a parameter or metric, or a part of one, without what MLflow refuses: class names may hold anything.

    Letters, digits and some marks are allowed; as a path, it must lead nowhere else.
    """
    plain = "".join(c if c.isalnum() or c in " _-./" else "_" for c in name)
    return "/".join(part if part.strip(".") else "_" for part in plain.split("/"))


def class_metrics(per_class: Mapping[str, Mapping[str, float]], noun: str) -> dict[str, float]:
    """An evaluation's metrics by class, as a run names them; how many labels a class has is none."""
    return {
        f"test/class/{mlflow_name(name)}/{metric}": value
        for name, values in per_class.items()
        for metric, value in values.items()
        if metric != noun
    }
