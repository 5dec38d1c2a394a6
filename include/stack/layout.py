"""The folders, files and ports of one embedded stack."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from include import files
from include.errors import ConfigurationError
from include.settings import PROJECT, Settings

PORTS = {"airflow": ("AIRFLOW_PORT", 8080), "mlflow": ("MLFLOW_PORT", 5000), "serving": ("SERVING_PORT", 8000)}
HOST = "127.0.0.1"
MARKER = ".perennial-home"
SOCKET_LIMIT = 90  # sun_path holds 107 bytes; PostgreSQL and supervisord add their own names


@dataclass(frozen=True)
class Stack:
    """One stack: a home, three ports, and the paths that follow from them."""

    home: Path
    airflow_port: int
    mlflow_port: int
    serving_port: int
    project: Path = PROJECT

    @classmethod
    def from_environment(cls) -> Stack:
        """The stack that the environment names.

        Raises
        ------
        ConfigurationError : a value is not a port, or two services share one.
        """
        ports: dict[str, int] = {}
        for service, (variable, default) in PORTS.items():
            text = os.environ.get(variable) or str(default)
            if not text.isdigit() or not 0 < int(text) < 65536:
                raise ConfigurationError(f"{variable}={text!r} is not a port: give a number from 1 to 65535.")
            same = next((other for other, port in ports.items() if port == int(text)), None)
            if same:
                raise ConfigurationError(f"{PORTS[same][0]} and {variable} are both {text}: give each its own port.")
            ports[service] = int(text)
        home = Settings.from_environment().home
        return cls(Path(os.path.realpath(home)), ports["airflow"], ports["mlflow"], ports["serving"])

    @property
    def ports(self) -> dict[str, int]:
        """The ports by service, in display order."""
        return {"airflow": self.airflow_port, "mlflow": self.mlflow_port, "serving": self.serving_port}

    @property
    def airflow_url(self) -> str:
        return f"http://{HOST}:{self.airflow_port}"

    @property
    def mlflow_url(self) -> str:
        return f"http://{HOST}:{self.mlflow_port}"

    @property
    def serving_url(self) -> str:
        return f"http://{HOST}:{self.serving_port}"

    @property
    def run(self) -> Path:
        """Lock, record and configuration of the running stack."""
        return self.home / "run"

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def secrets(self) -> Path:
        return self.home / "secrets"

    @property
    def tours(self) -> Path:
        """Models of `make tour`, which the processes of the stack find next to the others."""
        return self.home / "tours"

    @property
    def pgdata(self) -> Path:
        return self.home / "postgres" / "data"

    @property
    def airflow_home(self) -> Path:
        return self.home / "airflow"

    @property
    def sockets(self) -> Path:
        """Folder of the Unix sockets: in the home, or in the temporary folder if the home's path is too long or odd.

        The path is part of database URLs, so it must not contain a character that needs escaping.
        """
        inside = self.run / "sockets"
        if len(str(inside)) <= SOCKET_LIMIT and re.fullmatch(r"[A-Za-z0-9_./-]+", str(inside)):
            return inside
        digest = hashlib.sha256(str(self.home).encode()).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"perennial-{os.getuid()}-{digest}"

    @property
    def pg_sockets(self) -> Path:
        return self.sockets / "pg"

    def database_url(self, database: str, driver: str = "") -> str:
        """SQLAlchemy URL of a database as PostgreSQL's administrator, whom the server identifies by the system user.

        Only the user who runs the stack has access. Its processes use `credentials.database_url` with their own roles.
        """
        scheme = f"postgresql+{driver}" if driver else "postgresql"
        return f"{scheme}://postgres@/{database}?host={self.pg_sockets}"

    def prepare(self) -> None:
        """Create the home and its folders.

        Raises
        ------
        ConfigurationError : the folder has other files and is not a Perennial home; or its name has a "%".
        """
        if "%" in str(self.home):  # starts an expansion in the configuration of supervisord and of Airflow
            raise ConfigurationError(f"PERENNIAL_HOME={self.home} has a '%' in its name: choose another folder.")
        marker = self.home / MARKER
        if self.home.exists() and not marker.exists() and any(self.home.iterdir()):
            raise ConfigurationError(
                f"PERENNIAL_HOME={self.home} has other files and is not a Perennial home: name an empty or new folder."
            )
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        marker.write_text("State of an embedded Perennial stack; `make clean` deletes this folder.\n")
        for folder in (self.run, self.logs, self.airflow_home, self.home / "mlflow", self.tours):
            folder.mkdir(mode=0o700, exist_ok=True)
        self.secrets.mkdir(mode=0o700, exist_ok=True)
        if self.sockets.parent != self.run and self.sockets.exists() and self.sockets.stat().st_uid != os.getuid():
            raise ConfigurationError(f"{self.sockets} belongs to another user: set TMPDIR or a shorter PERENNIAL_HOME.")
        self.sockets.mkdir(mode=0o700, exist_ok=True)

    def record(self, **more: object) -> None:
        """Record the running stack for `make night`, `status` and `stop` in other terminals."""
        known = {k: v for k, v in asdict(self).items() if k.endswith("_port")}
        files.write(self.run / "stack.json", json.dumps(known | more, indent=1).encode())

    def recorded(self) -> dict[str, object]:
        """The record of the last `run` on this home; empty if there is none."""
        try:
            found = json.loads((self.run / "stack.json").read_text())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def as_recorded(self) -> Stack:
        """This stack with the ports that are in use (in a second terminal, the variables may not be set)."""
        ports = {k: v for k, v in self.recorded().items() if k.endswith("_port") and isinstance(v, int)}
        return Stack(**({"home": self.home, "project": self.project} | self._own_ports() | ports))  # type: ignore[arg-type]

    def _own_ports(self) -> dict[str, int]:
        return {f"{service}_port": port for service, port in self.ports.items()}
