"""The content of MLflow for people and tools: runs of candidates, versions of a model, the alias of the champion.

Nothing here makes decisions: MLflow's aliases and tags are last-writer-wins, so the ledger is the truth and this is
its projection. Versions here are MLflow's own; `include.registry.mlflow_versions` finds the one that stands for a
version of the ledger. A model's experiment and registered model have the model's name. Calls that find their work
done do nothing. Each call documents its HTTP round trips, because tasks pay for them.
"""

from __future__ import annotations

import json
import logging
import math
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar
from urllib.parse import quote

# A task that cannot reach MLflow must fail within a minute, so that Airflow retries it; MLflow itself makes 7 tries
# of 120 s. MLflow prints the address of every run that it ends, which costs a call.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")

from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from include.errors import ConfigurationError, IntegrityError, TransientError
from include.settings import Settings

RUN_TAG = "perennial.run_id"
VERSION_TAG = "perennial.version"
CANDIDATE_TAG = "perennial.candidate"
CHAMPION_ALIAS = "champion"
MODEL_FOLDER = "model"
"""Where a run keeps the model that `mlflow.pyfunc.load_model` loads."""
KIND_TAG, KIND = "mlflow.experimentKind", "custom_model_development"
TRAINING_PAGES = "?workflowType=machine_learning"
"""Makes MLflow's pages show runs and models. Without it, each browser shows the pages for GenAI until its user switches
to *Model training*; the kind of the experiment does not change that."""
_PAGE = 200
_BATCH = 100  # MLflow takes 100 parameters and 100 tags in one call
_LONGEST_PARAM = 6000
_LONGEST_DIGEST = 36
_LONGEST_DESCRIPTION = 5000
# With its login, MLflow answers "permission denied" also for missing objects, except to its administrator. The
# tasks' user has all permissions on runs and models, so it means "missing". A real denial recurs in the next call.
_MISSING = ("RESOURCE_DOES_NOT_EXIST", "PERMISSION_DENIED")
_TRANSIENT = ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED")

T = TypeVar("T")


def start_or_resume(model_name: str, run_id: str, candidate: str, mlflow_run_id: str | None = None) -> str:
    """The MLflow run of one candidate in one Airflow run: the one that an earlier try opened, else a new one.

    Found by ``mlflow_run_id`` if it is known, else by its tags; set back to RUNNING if it had ended.
    Round trips: 3 for a new run, 2-3 for one found by tags, 1-2 for a known one (3 more for the first of a model).
    """
    client = _client()
    with _speaking(f"open the MLflow run of candidate {candidate!r} of {model_name}"):
        if mlflow_run_id is not None:
            run = _unless(_MISSING, lambda: client.get_run(mlflow_run_id))
            if run is not None and run.info.lifecycle_stage == "active":
                return _running(client, run)
        experiment = _experiment(client, model_name)
        tags = {RUN_TAG: run_id, CANDIDATE_TAG: candidate}
        wanted = " and ".join(f"tags.`{name}` = {_quoted(value)}" for name, value in tags.items())
        found = client.search_runs([experiment], wanted, max_results=1, order_by=["attributes.start_time ASC"])
        if found:
            return _running(client, found[0])
        return str(client.create_run(experiment, tags=tags, run_name=candidate).info.run_id)


def log(
    mlflow_run_id: str,
    params: Mapping[str, object] | None = None,
    metrics: Mapping[str, float] | None = None,
    tags: Mapping[str, object] | None = None,
) -> None:
    """Log parameters, metrics and tags of a run in one round trip (one more for every further hundred).

    Raises
    ------
    IntegrityError : the run already has another value of a parameter: it is not the run of this recipe.
    """
    now = int(time.time() * 1000)
    named = [Param(name, _text(value)) for name, value in (params or {}).items()]
    measured = [Metric(name, float(value), now, 0) for name, value in (metrics or {}).items()]
    tagged = [RunTag(name, str(value)) for name, value in (tags or {}).items()]
    batches = max(1, *(math.ceil(len(part) / _BATCH) for part in (named, measured, tagged)))
    if not (named or measured or tagged):
        return
    with _speaking(f"log to the MLflow run {mlflow_run_id}"):
        for n in range(batches):
            part = slice(n * _BATCH, (n + 1) * _BATCH)
            _client().log_batch(mlflow_run_id, metrics=measured[part], params=named[part], tags=tagged[part])


def log_artifact_bytes(mlflow_run_id: str, path: str, data: bytes) -> None:
    """Store bytes as an artifact of a run under a POSIX path; the same path again is replaced. Round trips: 2."""
    log_artifacts_bytes(mlflow_run_id, {path: data})


def log_artifacts_bytes(mlflow_run_id: str, files: Mapping[str, bytes]) -> None:
    """`log_artifact_bytes` of several files, by path. Round trips: 1, and 1 for each file."""
    with tempfile.TemporaryDirectory(prefix="perennial-") as temporary:
        for path, data in files.items():
            place = PurePosixPath(path)
            if place.is_absolute() or ".." in place.parts or not place.name:
                raise ConfigurationError(
                    f"{path!r} is not an artifact path: give a relative one, e.g. 'holdout/by_day.parquet'."
                )
            file = Path(temporary, place)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        with _speaking(f"store the artifacts {', '.join(files)} of the MLflow run {mlflow_run_id}"):
            _client().log_artifacts(mlflow_run_id, temporary)


def log_model_files(mlflow_run_id: str, files: Mapping[str, bytes]) -> None:
    """Store a model of MLflow's format with a run, by path below `MODEL_FOLDER`.

    ``MLmodel`` is stored last: if a task is killed before, clients find the model of an earlier try, or none.
    Round trips: 2, and 1 for each file.
    """
    last = "MLmodel"
    log_artifacts_bytes(mlflow_run_id, {f"{MODEL_FOLDER}/{name}": files[name] for name in files if name != last})
    log_artifacts_bytes(mlflow_run_id, {f"{MODEL_FOLDER}/{last}": files[last]})


def has_model_files(mlflow_run_id: str) -> bool:
    """Whether a run has a model that clients can load. Round trips: 4, because MLflow also looks for logged models."""
    with _speaking(f"list the artifacts of the MLflow run {mlflow_run_id}"):
        return any(found.path.endswith("/MLmodel") for found in _client().list_artifacts(mlflow_run_id, MODEL_FOLDER))


_WRITERS = 8  # candidates that can begin to train at the same moment


def log_dataset(
    mlflow_run_id: str, name: str, digest: str, source: Mapping[str, object], profile: Mapping[str, object]
) -> None:
    """Name the data that a run was fitted on: MLflow shows it with the run. Again is a no-op. Round trips: 1.

    Parameters
    ----------
    source : ``path`` and ``delta_table_version`` of a Delta table.
    profile : numbers about the data.
    """
    data = Dataset(
        name=name,
        digest=digest[:_LONGEST_DIGEST],
        source_type="delta_table",
        source=json.dumps(dict(source)),
        profile=json.dumps(dict(profile)),
    )
    used = DatasetInput(data, [InputTag("mlflow.data.context", "training")])
    with _speaking(f"log the data of the MLflow run {mlflow_run_id}"):
        for left in reversed(range(_WRITERS)):
            try:
                return _client().log_inputs(mlflow_run_id, [used])
            except MlflowException as problem:
                # The trainings of a run begin together. MLflow looks for the data and then inserts them, so of several
                # that are the first at once all but one are refused; the next call finds them.
                if not left or "UniqueViolation" not in str(problem):
                    raise


def artifact_bytes(mlflow_run_id: str, path: str) -> bytes:
    """The bytes of an artifact of a run. Round trips: 2."""
    with (
        tempfile.TemporaryDirectory(prefix="perennial-") as temporary,
        _speaking(f"read the artifact {path} of the MLflow run {mlflow_run_id}"),
    ):
        return Path(_client().download_artifacts(mlflow_run_id, path, temporary)).read_bytes()


def finish(mlflow_run_id: str, status: str = "FINISHED") -> None:
    """End a run (``FINISHED``, ``FAILED`` or ``KILLED``). Round trips: 1."""
    with _speaking(f"end the MLflow run {mlflow_run_id}"):
        _client().set_terminated(mlflow_run_id, status)


def create_version(
    model_name: str, run_id: str, mlflow_run_id: str | None, tags: Mapping[str, object] | None = None
) -> int:
    """MLflow's version of the model that an Airflow run makes: the one that an earlier try created, else a new one.

    ``mlflow_run_id`` is the run that it comes from, ``None`` if that is no longer known.
    If two tries of one task run at the same time and both create one, both return the lower number.
    Round trips: 1 if it exists, 3 for a new one (4 for the first of a model).
    """
    client = _client()
    wanted = f"name = {_quoted(model_name)} and tags.`{RUN_TAG}` = {_quoted(run_id)}"

    def existing() -> list[int]:
        return sorted(int(found.version) for found in client.search_model_versions(wanted, max_results=10))

    def create() -> bool:
        labels = {**{name: str(value) for name, value in (tags or {}).items()}, RUN_TAG: run_id}
        source = f"runs:/{mlflow_run_id}/{MODEL_FOLDER}" if mlflow_run_id else f"perennial:/{model_name}"
        client.create_model_version(model_name, source, run_id=mlflow_run_id, tags=labels, await_creation_for=0)
        return True

    with _speaking(f"create the version of run {run_id!r} of {model_name}"):
        versions = existing()
        if not versions:
            if _unless(_MISSING, create) is None:
                _unless(("RESOURCE_ALREADY_EXISTS",), lambda: client.create_registered_model(model_name))
                create()
            versions = existing()
    return versions[0]


def tag_version(model_name: str, version: int, tags: Mapping[str, object]) -> None:
    """Set tags of a version; each one costs two round trips, so name few."""
    with _speaking(f"tag version {version} of {model_name}"):
        for name, value in tags.items():
            _client().set_model_version_tag(model_name, str(version), name, str(value))


def describe_version(model_name: str, version: int, text: str) -> None:
    """Set the description of a version, in Markdown, cut to what MLflow keeps. Round trips: 1."""
    with _speaking(f"describe version {version} of {model_name}"):
        _client().update_model_version(model_name, str(version), _text(text, _LONGEST_DESCRIPTION))


def version_tags(model_name: str, version: int) -> dict[str, str] | None:
    """The tags of a version; ``None`` if MLflow does not have it. Round trips: 1."""
    with _speaking(f"read version {version} of {model_name}"):
        found = _unless(_MISSING, lambda: _client().get_model_version(model_name, str(version)))
    return None if found is None else dict(found.tags)


def newest_version(model_name: str) -> int:
    """The highest version of a model that MLflow has; 0 if it has none. Round trips: 1."""
    with _speaking(f"read the newest version of {model_name}"):
        found = _client().search_model_versions(
            f"name = {_quoted(model_name)}", max_results=1, order_by=["version_number DESC"]
        )
    return int(found[0].version) if found else 0


def is_registered(model_name: str) -> bool:
    """Whether MLflow has the registered model. Round trips: 1."""
    with _speaking(f"read the registered model {model_name}"):
        found = _unless(("RESOURCE_DOES_NOT_EXIST",), lambda: _client().get_registered_model(model_name))
    return found is not None


def champion_aliases() -> dict[str, int]:
    """The version that the alias points at, by registered model. Round trips: 1 for 200 models."""
    aliases: dict[str, int] = {}
    token: str | None = None
    with _speaking(f"read the aliases {CHAMPION_ALIAS!r}"):
        while True:
            page = _client().search_registered_models(max_results=_PAGE, page_token=token)
            aliases |= {m.name: int(m.aliases[CHAMPION_ALIAS]) for m in page if CHAMPION_ALIAS in m.aliases}
            token = page.token
            if not token:
                return aliases


def set_champion_alias(model_name: str, version: int) -> None:
    """Point the alias ``champion`` at a version; it moves at once and is never deleted before. Round trips: 2."""
    with _speaking(f"set the alias {CHAMPION_ALIAS!r} of {model_name} to version {version}"):
        _client().set_registered_model_alias(model_name, CHAMPION_ALIAS, str(version))


def remove_champion_alias(model_name: str) -> None:
    """Remove the alias of a model that was taken out of service. Round trips: 2."""
    with _speaking(f"remove the alias {CHAMPION_ALIAS!r} of {model_name}"):
        gone = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
        _unless(gone, lambda: _client().delete_registered_model_alias(model_name, CHAMPION_ALIAS))


def champion_alias(model_name: str) -> int | None:
    """The version that the alias points at, for checks; ``None`` if there is no alias. Round trips: 1."""
    gone = (*_MISSING, "INVALID_PARAMETER_VALUE")
    with _speaking(f"read the alias {CHAMPION_ALIAS!r} of {model_name}"):
        found = _unless(gone, lambda: _client().get_model_version_by_alias(model_name, CHAMPION_ALIAS))
    return None if found is None else int(found.version)


def delete(model_name: str) -> str | None:
    """Delete a model's registered versions and its experiment; the id of the experiment, if there was one.

    Round trips: 3. What does not exist is not an error.
    """
    with _speaking(f"delete {model_name}"):
        client = _client()
        _unless(_MISSING, lambda: client.delete_registered_model(model_name))
        found = client.get_experiment_by_name(model_name)
        if found is None:
            return None
        if found.lifecycle_stage == "active":
            client.delete_experiment(found.experiment_id)
        return str(found.experiment_id)


def run_url(mlflow_run_id: str) -> str:
    """The address of a run's page, for a browser."""
    return f"{_public()}/#/runs/{quote(mlflow_run_id)}{TRAINING_PAGES}"


def artifact_url(mlflow_run_id: str, path: str) -> str:
    """The address of the page of an artifact of a run, for a browser."""
    return f"{_public()}/#/runs/{quote(mlflow_run_id)}/artifacts/{quote(path)}{TRAINING_PAGES}"


def version_url(model_name: str, version: int) -> str:
    """The address of a version's page, for a browser."""
    return f"{_public()}/#/models/{quote(model_name)}/versions/{version}{TRAINING_PAGES}"


def _public() -> str:
    return Settings.from_environment().require("tracking_public_url").rstrip("/")


def _client() -> MlflowClient:
    return _client_of(Settings.from_environment().require("tracking_url"), os.getpid())


@lru_cache(maxsize=4)
def _client_of(url: str, process: int) -> MlflowClient:
    """One client per process and server."""
    return MlflowClient(tracking_uri=url, registry_uri=url)


def _experiment(client: MlflowClient, name: str) -> str:
    """The id of a model's experiment, created if absent, restored if deleted (two processes may try at once)."""
    found = client.get_experiment_by_name(name)
    if found is None:
        _unless(("RESOURCE_ALREADY_EXISTS",), lambda: client.create_experiment(name, tags={KIND_TAG: KIND}))
        found = client.get_experiment_by_name(name)
    if found is None:
        raise TransientError(f"the MLflow experiment {name!r} was deleted just now.")
    if found.lifecycle_stage != "active":
        logging.getLogger(__name__).warning("The MLflow experiment %r was deleted: it is restored.", name)
        client.restore_experiment(found.experiment_id)
    if KIND_TAG not in found.tags:  # of an earlier version
        client.set_experiment_tag(found.experiment_id, KIND_TAG, KIND)
    return str(found.experiment_id)


def _running(client: MlflowClient, run: Run) -> str:
    if run.info.status != "RUNNING":
        client.update_run(run.info.run_id, status="RUNNING")
    return str(run.info.run_id)


def _quoted(value: str) -> str:
    """A text in MLflow's filter language, which has no escapes: texts with quotes are refused."""
    if "'" in value or '"' in value:
        raise ConfigurationError(f"{value!r} has a quote in it, which MLflow cannot search for.")
    return f"'{value}'"


def _text(value: Any, longest: int = _LONGEST_PARAM) -> str:
    text = str(value)
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _unless(codes: tuple[str, ...], call: Callable[[], T]) -> T | None:
    """The result of ``call``; ``None`` if MLflow answers with one of these error codes."""
    try:
        return call()
    except MlflowException as error:
        if error.error_code in codes:
            return None
        raise


@contextmanager
def _speaking(what: str) -> Iterator[None]:
    """Turn MLflow's errors into ours, without addresses that contain a password."""
    try:
        yield
    except MlflowException as error:
        reason = re.sub(r"//[^/@\s]+@", "//***@", str(error)).strip().splitlines()[0][:500]
        if error.error_code in _TRANSIENT:
            raise TransientError(f"could not {what}: the MLflow server did not answer as expected: {reason}") from None
        if "Changing param values is not allowed" in str(error) or "different value" in str(error):
            raise IntegrityError(f"could not {what}: it already has other parameters: {reason}") from None
        raise ConfigurationError(
            f"could not {what}: the MLflow server refused ({error.error_code}): {reason}"
        ) from None
