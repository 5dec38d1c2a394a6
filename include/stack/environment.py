"""The environment of every process of the stack: its whole configuration, including Airflow's."""

from __future__ import annotations

import json
import os
from pathlib import Path

from include.settings import Settings
from include.stack import confidential, credentials
from include.stack.layout import HOST, Stack

# Imported once in the fork server of all tasks: otherwise these imports take each task 5 to 40 s.
# Only imports, and the work of `perennial.warm`: no table is opened and nothing is computed there.
PRELOAD = (
    "include.stack.quiet",
    "skops.io",  # first, because it looks up every NumPy function in every loaded module
    "airflow.executors.local_executor",
    "airflow.sdk.execution_time.task_runner",
    "airflow.sdk.execution_time.supervisor",
    "airflow.providers.standard.operators.trigger_dagrun",
    "airflow.providers.standard.operators.branch",
    "airflow.providers.standard.operators.empty",  # every parse of a DAG needs it
    "airflow.api_fastapi.core_api.security",  # every task loads the plugins, whose pages need it
    "airflow.sdk.definitions.retry_policy",
    "airflow.sdk.listener",
    "airflow.sdk.plugins_manager",
    "airflow.sdk.execution_time.timeout",
    "airflow.version",
    "jinja2.ext",
    "airflow.timetables.trigger",
    "airflow.dag_processing.bundles.local",
    "airflow.dag_processing.dagbag",
    "airflow.serialization.serialized_objects",
    "sqlalchemy.dialects.postgresql.psycopg2",
    "pandas",
    "pyarrow.dataset",
    "pyarrow.parquet",
    "deltalake",
    "great_expectations",
    "great_expectations.expectations.core",
    "scipy.stats",
    "sklearn.compose",
    "sklearn.dummy",
    "sklearn.ensemble",
    "sklearn.impute",
    "sklearn.linear_model",
    "sklearn.metrics",
    "sklearn.pipeline",
    "sklearn.preprocessing",
    "mlflow",
    "mlflow.tracking",
    "mlflow.store.tracking.rest_store",
    "mlflow.store.model_registry.rest_store",
    "mlflow.store.artifact.mlflow_artifacts_repo",
    "skl2onnx",
    "onnxruntime",
    "httpx",
    "include.catalog",
    "include.data.collection",
    "include.data.lake",
    "include.data.loading",
    "include.data.quality",
    "include.data.spools",
    "include.registry.bundles",
    "include.registry.ledger",
    "include.registry.mlflow_versions",
    "include.registry.tracking",
    "include.release.promotion",
    "include.release.reconcile",
    "include.release.rollback",
    "include.release.smoke",
    "include.scoring.predictor",
    "include.gate.anchors",
    "include.training.candidates",
    "include.cards.card",
    "include.gate.change",
    "include.training.dataset",
    "include.retraining.evaluate",
    "include.training.measures",
    "include.training.export",
    "include.gate.decision",
    "include.retraining.package",
    "include.retraining.planning",
    "include.gate.rivals",
    "include.retraining.select",
    "include.retraining.served",
    "include.retraining.deployed",
    "include.retraining.night",
    "include.retraining.train",
    "perennial.bundle",
    "perennial.console.app",
    "perennial.dags",
    "perennial.links",
    "perennial.notes",
    "perennial.operators.base",
    "perennial.operators.broken",
    "perennial.operators.collection",
    "perennial.operators.loading",
    "perennial.operators.predictions",
    "perennial.operators.reconciliation",
    "perennial.operators.release",
    "perennial.operators.training",
    "perennial.timetables",
    "perennial.warm",
    "include.stack.freeze",
)
KEPT = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE", "LD_LIBRARY_PATH")
KEPT_PREFIXES = ("PERENNIAL_",)


def parallelism() -> int:
    """The number of tasks that run at a time. They spend as much time waiting for files and the API as computing."""
    return max(4, min(32, 2 * (os.cpu_count() or 2)))


def airflow_environment(stack: Stack) -> dict[str, str]:
    """Airflow's settings as ``AIRFLOW__`` variables; each that differs from the default has a reason next to it.

    Its secrets are not among them: see `include.stack.confidential`.
    """
    bundle = [
        {
            "name": "dags-folder",
            "classpath": "perennial.bundle.DagsFolder",
            # a new model appears in seconds, not in five minutes
            "kwargs": {"path": str(stack.project / "dags"), "refresh_interval": 5},
        }
    ]
    return {
        "AIRFLOW_HOME": str(stack.airflow_home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(stack.project / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(stack.project / "plugins"),
        "AIRFLOW__CORE__EXECUTOR": "perennial.executor.PrivateLocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": str(parallelism()),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG": "64",
        # a DAG that changes is stored at once, so that its timetable and its next run are those of the same folder
        "AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "0",
        # a killed task is retried after half a minute, not five
        "AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "30",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{stack.airflow_url}/execution/",
        "AIRFLOW__CORE__AUTH_MANAGER": "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": credentials.users_and_roles(),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(credentials.passwords_file(stack)),
        # tasks are forked from a process that has already imported everything heavy
        "AIRFLOW__SCHEDULER__MP_START_METHOD": "forkserver",
        "AIRFLOW__CORE__MP_FORKSERVER_PRELOAD": ",".join(PRELOAD),
        "AIRFLOW__API__HOST": HOST,
        "AIRFLOW__API__PORT": str(stack.airflow_port),
        "AIRFLOW__API__BASE_URL": stack.airflow_url,
        "AIRFLOW__API__WORKERS": "1",
        # a task of a stack that was stopped for hours must still be accepted; tokens of running tasks are refreshed
        "AIRFLOW__EXECUTION_API__JWT_EXPIRATION_TIME": "3600",
        # After a turn without work, the scheduler pauses for the first time while tasks run, so that the next task
        # of a run starts at once; while none runs, it pauses for both (perennial.executor, tests/bench/idle_curve.py).
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.1",
        "AIRFLOW__PERENNIAL__IDLE_PAUSE": "0.3",
        # a killed task is detected after one minute, not five; with less, a task on a busy machine would count as dead
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
        # a busy scheduler must not count itself as dead; our executor detects a killed one when the next one starts
        "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "300",
        "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "30",
        "AIRFLOW__SCHEDULER__MAX_TIS_PER_QUERY": "64",
        # with the default of 5 s, a slot stays occupied after its task has ended
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
        # the API server is busy while it starts: do not give up on it
        "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "30",
        "AIRFLOW__WORKERS__MISSING_DAG_RETRY_DELAY": "5",
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundle),
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "20",
        "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "2",
        # a file that takes a second on an idle machine can take a minute on a busy one; this is not an import error
        "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "300",
        "AIRFLOW__DAG_PROCESSOR__DAG_FILE_PROCESSOR_TIMEOUT": "360",
        "AIRFLOW__DAG_PROCESSOR__PRINT_STATS_INTERVAL": "300",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(stack.logs / "airflow"),
        "AIRFLOW__LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": str(stack.logs / "airflow" / "dag_processor"),
        "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",
        # Airflow sets the defaults by chmod, despite the umask, and they let every user read the logs
        "AIRFLOW__LOGGING__FILE_TASK_HANDLER_NEW_FOLDER_PERMISSIONS": "0o700",
        "AIRFLOW__LOGGING__FILE_TASK_HANDLER_NEW_FILE_PERMISSIONS": "0o600",
    }


def mlflow_environment(stack: Stack) -> dict[str, str]:
    """The variables that only the MLflow server needs, without its secrets."""
    return {
        "MLFLOW_ARTIFACTS_DESTINATION": str(stack.home / "mlflow" / "artifacts"),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_AUTH_CONFIG_PATH": str(stack.secrets / "mlflow_auth.ini"),
        "MLFLOW_AUTH_ADMIN_USERNAME": credentials.USER,
    }


def perennial_environment(stack: Stack) -> dict[str, str]:
    """The variables that `include.settings` reads in a task or on the command line, including secrets."""
    return _perennial_environment(stack) | confidential.of_tasks(stack)


def _perennial_environment(stack: Stack) -> dict[str, str]:
    """The variables that `include.settings` and the libraries of tasks read, without secrets."""
    return {
        "PERENNIAL_HOME": str(stack.home),
        "PERENNIAL_MODELS": _models(stack),
        "PERENNIAL_SERVING_URL": stack.serving_url,
        "PERENNIAL_SERVING_HOST": HOST,
        "AIRFLOW_PORT": str(stack.airflow_port),
        "MLFLOW_PORT": str(stack.mlflow_port),
        "SERVING_PORT": str(stack.serving_port),
        "SERVING_WORKERS": str(Settings.from_environment().serving_workers),
        "MLFLOW_TRACKING_URI": stack.mlflow_url,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
        "GX_ANALYTICS_ENABLED": "false",
        "GIT_PYTHON_REFRESH": "quiet",
        "ORT_DISABLE_TELEMETRY": "1",
        # One thread per task: on a busy machine, gradient boosting with two threads took 4 to 37 s instead of 1 s.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONPATH": f"{stack.project}{os.pathsep}{stack.project / 'plugins'}",
        "PYTHONUNBUFFERED": "1",
        # People read the logs of tasks. Deprecation warnings between Airflow's libraries do not concern them.
        "PYTHONWARNINGS": "ignore::DeprecationWarning",
    }


def _models(stack: Stack) -> str:
    """More folders of models: those of the caller, then that of `make tour`."""
    ours = str(stack.tours)
    theirs = [path for path in os.environ.get("PERENNIAL_MODELS", "").split(":") if path and path != ours]
    return ":".join(theirs if ":" in ours else [*theirs, ours])


def common_environment(stack: Stack, executable: str) -> dict[str, str]:
    """The variables of supervisord and of every process: no secrets, and no other variables of the caller.

    ``PYTHONDONTWRITEBYTECODE`` is left out on purpose: without bytecode, every process compiles everything again.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if (name in KEPT or name.startswith(KEPT_PREFIXES)) and not confidential.is_secret(name)
    }
    path = f"{Path(executable).parent}:{kept.get('PATH', os.defpath)}"
    marker = {"PERENNIAL_STACK": str(stack.home), "PATH": path}
    known = airflow_environment(stack) | _perennial_environment(stack) | mlflow_environment(stack)
    return kept | known | marker


def child_environment(stack: Stack, executable: str, component: str) -> dict[str, str]:
    """The whole environment of one process of the stack, its own secrets included."""
    return common_environment(stack, executable) | confidential.of(stack, component)
