"""After a night no secret is exposed: file modes, environments, command lines, files, logs and databases."""

from __future__ import annotations

import base64
import os
import pwd
import stat
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import httpx
import psutil
import pytest
import sqlalchemy as sa

from include import catalog
from include.data.lake import Lake
from include.stack import credentials, leftovers
from include.stack.supervision import Supervisor
from tests.end_to_end.stack_runner import Running

pytestmark = [pytest.mark.end_to_end, pytest.mark.usefixtures("settings")]

# The secrets (by their file in the secrets folder) that may be in the environment of each process.
ALLOWED = {
    "make run": set(),
    "supervisord": set(),
    "postgres": set(),
    "serving": {"serving_token"},
    "mlflow": {"database_mlflow", "mlflow_secret_key", "mlflow_admin_password", "mlflow_tasks_password"},
    "airflow-api-server": {
        *("database_airflow", "fernet_key", "jwt_secret", "api_secret_key"),
        *("database_perennial", "serving_token"),  # for the Models pages
    },
    "airflow-scheduler": {
        *("database_airflow", "fernet_key", "jwt_secret"),
        *("database_perennial", "mlflow_tasks_password", "serving_token"),  # passed on to the tasks
    },
    "tasks": {"database_perennial", "mlflow_tasks_password", "serving_token"},
    "airflow-dag-processor": {"database_airflow", "fernet_key"},
    "airflow-triggerer": {"database_airflow", "fernet_key"},
}
SHOWN = {"airflow-scheduler", "airflow-dag-processor", "airflow-triggerer", "mlflow", "serving", "tasks"}
FORK_SERVER = "multiprocessing.forkserver"  # on the command line of the process from which all tasks are forked
FOLDERS = ("bundles", "lake", "spool", "mlflow/artifacts", "logs/airflow", "postgres/data", "run", "secrets")


def secrets_of(running: Running) -> dict[str, str]:
    """Return every secret by its name."""
    names = set().union(*ALLOWED.values()) | {f"{user}_password" for user in credentials.USERS}
    found = {name: credentials.read(running.stack, name) for name in names}
    files = {path.name for path in running.stack.secrets.iterdir() if path.is_file()}
    assert files == set(found) | {"airflow_passwords.json", "mlflow_auth.ini"}, "a secret that this scan does not know"
    return {name: str(value) for name, value in found.items()}


def forms_of(secret: str) -> set[bytes]:
    """Return a secret as it is, in a URL, in hexadecimal, and in Base64 with each possible alignment."""
    raw, forms = secret.encode(), set()
    for before in range(3):  # bytes before it; characters that depend on neighbouring bytes are left out
        first, end = -(-8 * before // 6), 8 * (before + len(raw)) // 6
        forms.add(base64.b64encode(b"x" * before + raw)[first:end])
    return {raw, quote(secret, safe="").encode(), raw.hex().encode(), *forms}


def found_in(text: bytes, secrets: dict[str, str]) -> set[str]:
    return {name for name, secret in secrets.items() if any(form in text for form in forms_of(secret))}


def everything_in(home: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield files, folders and sockets. Links are not followed, and files that vanish meanwhile are left out."""
    waiting = [home]
    while waiting:
        path = waiting.pop()
        with suppress(FileNotFoundError):
            found = path.lstat()
            if not stat.S_ISLNK(found.st_mode):
                yield path, found
            if stat.S_ISDIR(found.st_mode):
                waiting += path.iterdir()


def test_only_their_owner_can_open_files_and_folders(running: Running) -> None:
    """The one exception, as root: PostgreSQL's system user can pass through the folders above its sockets and data."""
    home = running.home
    assert all((home / folder).is_dir() for folder in FOLDERS)
    passed = {home, home / "run", home / "run" / "sockets"} if os.geteuid() == 0 else set()
    open_to_others = []
    for path, found in everything_in(home):
        mode = stat.S_IMODE(found.st_mode)
        if path in passed and (mode, found.st_gid) == (0o710, pwd.getpwnam("pgserver").pw_gid):
            continue
        if mode & 0o077:
            open_to_others.append(f"{mode:o} {path}")
    assert open_to_others == []


def command_of(process: psutil.Process) -> str:
    """Return the command line of a process, or an empty text if it has ended meanwhile."""
    with suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""


def is_unknown(process: psutil.Process, known: set[int]) -> bool:
    """Return whether this is a living Python process that no known process has started."""
    with suppress(psutil.Error):
        return process.is_running() and "python" in process.name() and process.ppid() not in known
    return False


def components_of(running: Running) -> dict[str, list[psutil.Process]]:
    """Return the processes of the stack by component."""
    found: dict[str, list[psutil.Process]] = defaultdict(list)
    found["make run"].append(psutil.Process(leftovers.owner(running.stack)))
    for state in Supervisor(running.stack).states():
        root = psutil.Process(state.pid)
        found["supervisord"] = [root.parent() or root]
        tree = [root, *root.children(recursive=True)]
        servers = [p for p in tree if state.name == "airflow-scheduler" and FORK_SERVER in command_of(p)]
        tasks = {p.pid for server in servers for p in (server, *server.children(recursive=True))}
        found[state.name] += [p for p in tree if p.pid not in tasks]
        found["tasks"] += [p for p in tree if p.pid in tasks]
    return found


def test_each_process_has_the_secrets_that_it_reads_and_none_is_on_a_command_line(running: Running) -> None:
    secrets = secrets_of(running)
    found = components_of(running)
    assert set(found) == set(ALLOWED)
    known = {process.pid for processes in found.values() for process in processes}
    others = [process for process in running.processes() if process.pid not in known]
    assert not [process for process in others if is_unknown(process, known)]
    shown = set()
    for component, processes in found.items():
        held, seen = set(), b""
        for process in processes:
            with suppress(FileNotFoundError, ProcessLookupError):  # a task that has ended meanwhile
                environment = Path(f"/proc/{process.pid}/environ").read_bytes()
                held |= found_in(environment, secrets)
                seen += environment
                assert not found_in(Path(f"/proc/{process.pid}/cmdline").read_bytes(), secrets), component
        assert held <= ALLOWED[component], component
        # a process that gives itself a title (the API server, a task) overwrites what /proc shows of its environment
        if b"PERENNIAL_STACK=" in seen:
            assert held == ALLOWED[component], component
            shown.add(component)
    assert shown >= SHOWN


def test_no_file_of_the_home_outside_of_the_secrets_folder_holds_a_secret(running: Running) -> None:
    """The search covers logs, the configuration of supervisord, Airflow's folder, artifacts, bundles and PostgreSQL."""
    secrets = secrets_of(running)
    patterns = b"\n".join(form for secret in secrets.values() for form in forms_of(secret))
    command = ["grep", "--recursive", "--files-with-matches", "--text", "--fixed-strings", "--file=-", "--no-messages"]
    done = subprocess.run(
        [*command, "--exclude-dir=secrets", str(running.home)],
        input=patterns,
        stdout=subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
    )
    assert done.stdout.decode().splitlines() == []
    done = subprocess.run([*command, str(running.stack.secrets)], input=patterns, stdout=subprocess.PIPE)
    assert str(running.stack.secrets / "jwt_secret") in done.stdout.decode(), "the search finds nothing"


def test_the_terminal_shows_the_two_passwords_that_a_person_types_and_no_other_secret(running: Running) -> None:
    if running.process is None:
        pytest.skip("this stack was started in another terminal")
    assert found_in(running.output.encode(), secrets_of(running)) == {"admin_password", "mlflow_admin_password"}


@pytest.mark.parametrize("database", credentials.ROLES)
def test_no_row_of_a_database_holds_a_secret(running: Running, database: str) -> None:
    """The search covers every table: XCom, rendered templates, connections, logs, MLflow's runs and the ledger."""
    secrets = secrets_of(running)
    engine = sa.create_engine(running.stack.database_url(database, "psycopg2"))
    leaks, rows = {}, 0
    with engine.connect() as connection:
        tables = sa.text(
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname NOT IN "
            "('pg_catalog', 'information_schema')"
        )
        for table in connection.execute(tables).scalars().all():
            text = [row for (row,) in connection.execute(sa.text(f"SELECT t::text FROM {table} t"))]
            rows += len(text)
            if leaked := found_in("\n".join(text).encode(), secrets):
                leaks[table] = leaked
    engine.dispose()
    assert rows and leaks == {}


def test_no_row_of_the_lake_holds_a_secret(running: Running) -> None:
    """The files of the lake are compressed, so a search in the files themselves would find nothing."""
    secrets, rows = secrets_of(running), 0
    for table in ("rows", "quarantine", "predictions"):
        frame = Lake.of(catalog.load("toy")).table(table).to_pandas()
        rows += len(frame)
        assert not found_in(frame.to_csv().encode(), secrets), table
    assert rows


# Routes of each kind that MLflow has: pages, REST, GraphQL, artifacts, and those of FastAPI next to Flask.
ROUTES = [
    ("GET", "/"),
    ("GET", "/version"),
    ("GET", "/signup"),
    ("GET", "/api/2.0/mlflow/experiments/search?max_results=1"),
    ("GET", "//api/2.0/mlflow/experiments/search?max_results=1"),
    ("POST", "/ajax-api/2.0/mlflow/runs/search"),
    ("GET", "/ajax-api/2.0/mlflow/registered-models/search"),
    ("POST", "/graphql"),
    ("GET", "/get-artifact?path=a&run_uuid=b"),
    ("GET", "/model-versions/get-artifact?path=a&name=toy&version=1"),
    ("GET", "/api/2.0/mlflow-artifacts/artifacts?path=1"),
    ("PUT", "/api/2.0/mlflow-artifacts/artifacts/1/x"),
    ("DELETE", "/ajax-api/2.0/mlflow-artifacts/artifacts/1/x"),
    ("POST", "/api/2.0/mlflow-artifacts/mpu/create/1/x"),
    ("POST", "/v1/traces"),
    ("POST", "/gateway/any/mlflow/invocations"),
    ("GET", "/gateway/mlflow/v1/models"),
    ("POST", "/gateway/proxy/any/path"),
    ("POST", "/ajax-api/3.0/jobs/search"),
    ("GET", "/ajax-api/3.0/jobs/any"),
    ("GET", "/ajax-api/3.0/mlflow/assistant/config"),
    ("POST", "/ajax-api/3.0/mlflow/assistant/message"),
    ("GET", "/api/3.0/mlflow/mcp-servers"),
    ("GET", "/ajax-api/3.0/mlflow/ui-telemetry"),
    ("POST", "/api/2.0/mlflow/users/create"),
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_mlflow_asks_for_a_login(running: Running, method: str, path: str) -> None:
    url = f"{running.stack.mlflow_url}{path}"
    answer = httpx.request(method, url, json={} if method != "GET" else None, trust_env=False, timeout=30)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Basic")


def test_mlflow_lets_in_the_health_check_and_a_person_and_tasks_cannot_create_users(running: Running) -> None:
    stack = running.stack
    person = (credentials.USER, credentials.read(stack, "mlflow_admin_password") or "")
    tasks = (credentials.TASKS_USER, credentials.read(stack, "mlflow_tasks_password") or "")
    with httpx.Client(base_url=stack.mlflow_url, trust_env=False, timeout=30) as server:
        assert server.get("/health").status_code == 200
        assert "<html" in server.get("/", auth=person).text
        models = server.get("/api/2.0/mlflow/registered-models/get?name=toy", auth=person).json()
        assert models["registered_model"]["aliases"], "tasks have set the alias"
        assert server.get("/", auth=(person[0], tasks[1])).status_code == 401
        created = server.post(
            "/api/2.0/mlflow/users/create", auth=tasks, json={"username": "another", "password": "long enough 1"}
        )
        assert created.status_code == 403
