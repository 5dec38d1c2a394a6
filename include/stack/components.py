"""The processes of the stack, and the supervisord configuration that starts and stops them."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from include.settings import UMASK
from include.stack.layout import HOST, Stack

SERVICES = "services"  # supervisord stops the programs of one group at the same time


@dataclass(frozen=True)
class Component:
    """One process: how it is started and stopped.

    Attributes
    ----------
    stop_signal : the signal that asks it to end.
    stop_seconds : how long it may take before it is killed with its children.
    environment : variables in addition to those of every process.
    user : the system user to run as, if it is not the caller.
    """

    name: str
    command: tuple[str, ...]
    folder: Path
    stop_signal: str = "TERM"
    stop_seconds: int = 6
    environment: tuple[tuple[str, str], ...] = ()
    user: str | None = None


def services(stack: Stack, python: str = sys.executable) -> list[Component]:
    """All components except PostgreSQL. `include.stack.confidential.launcher` starts each with its own secrets."""
    airflow = (python, "-m", "airflow")
    home = stack.airflow_home
    mlflow: tuple[str, ...] = (
        python,
        "-m",
        "include.stack.mlflow_server",
        "--host",
        HOST,
        "--port",
        str(stack.mlflow_port),
        "--workers",
        "1",
    )
    mlflow += ("--serve-artifacts", "--allowed-hosts", f"{HOST}:{stack.mlflow_port},localhost:{stack.mlflow_port}")
    return [
        Component("mlflow", mlflow, stack.home / "mlflow"),
        Component("serving", (python, "-m", "include.serving.server"), stack.run),
        Component(
            "airflow-api-server",
            (*airflow, "api-server", "--host", HOST, "--port", str(stack.airflow_port), "--workers", "1"),
            home,
        ),
        # log servers are only for workers on other machines, and they would listen on every address
        Component("airflow-scheduler", (*airflow, "scheduler", "--skip-serve-logs"), home),
        Component("airflow-dag-processor", (*airflow, "dag-processor"), home),
        Component("airflow-triggerer", (*airflow, "triggerer", "--skip-serve-logs"), home),
    ]


def supervisor_configuration(stack: Stack, postgres: Component, others: list[Component]) -> str:
    """The text of supervisord's configuration file. It has no secret, and supervisord's environment has none either.

    supervisord stops in the reverse order of ``priority``, one group after the other: everything that uses the
    database first, PostgreSQL last.
    """
    sections = [
        _section("unix_http_server", file=stack.sockets / "supervisor", chmod="0700"),
        _section(
            "supervisord",
            nodaemon="true",
            pidfile=stack.run / "supervisord.pid",
            logfile=stack.logs / "supervisord.log",
            logfile_maxbytes="5MB",
            logfile_backups=2,
            childlogdir=stack.logs,
            identifier="perennial",
        ),
        _section(
            "rpcinterface:supervisor",
            **{"supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"},
        ),
        _program(stack, postgres, priority=1),
        *(_program(stack, component, priority=10) for component in others),
        _section(f"group:{SERVICES}", programs=",".join(c.name for c in others), priority=10),
    ]
    return "\n".join(sections)


def _program(stack: Stack, component: Component, priority: int) -> str:
    values: dict[str, object] = {
        "command": " ".join(_quoted(part) for part in _spawned(component)),
        "directory": component.folder,
        "umask": f"{UMASK:03o}",  # supervisord's own umask applies only to a daemon
        "priority": priority,
        "autostart": "false",
        "autorestart": "true",
        "startsecs": 3,
        "startretries": 3,
        "stopsignal": component.stop_signal,
        "stopwaitsecs": component.stop_seconds,
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": stack.logs / f"{component.name}.log",
        "stdout_logfile_maxbytes": "20MB",
        "stdout_logfile_backups": 2,
    }
    if component.environment:
        values["environment"] = ",".join(f'{k}="{_escaped(v)}"' for k, v in component.environment)
    return _section(f"program:{component.name}", **values)


def _spawned(component: Component) -> tuple[str, ...]:
    """The command, started by `spawn`, which runs as our own user until it switches to the component's user."""
    user = ("--user", component.user) if component.user else ()
    spawn = str(Path(__file__).with_name("spawn.py"))
    return (sys.executable, "-I", spawn, *user, "--", *component.command)


def _section(title: str, **values: object) -> str:
    lines = [f"[{title}]"]
    for key, value in values.items():
        text = _escaped(str(value)) if isinstance(value, Path) else str(value)
        lines.append(f"{key}={text}")
    return "\n".join(lines) + "\n"


def _quoted(part: str) -> str:
    """Quote for supervisord's shell-like splitting, in which ``%`` starts an expansion."""
    escaped = _escaped(part)
    return escaped if part and all(c.isalnum() or c in "-_./:=,@%+" for c in part) else "'" + escaped + "'"


def _escaped(value: str) -> str:
    return value.replace("%", "%%")
