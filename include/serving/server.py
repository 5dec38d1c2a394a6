"""The model server as a process: ``python -m include.serving.server [--host 127.0.0.1] [--port 8000]``.

Stops on SIGTERM or SIGINT within five seconds: finishes the requests under way, then writes, syncs and closes the
spool, and exits with 0. With ``SERVING_WORKERS`` above 1, it is the parent of that many processes on the port; see
`include.serving.workers`.
"""

from __future__ import annotations

import argparse
import gc
import logging
import os
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING

from include.errors import ConfigurationError
from include.serving.place import Place
from include.serving.workers import Workers
from include.settings import Settings

if TYPE_CHECKING:
    import uvicorn  # imported in functions, as all that only a worker needs: a parent of workers stays small

logger = logging.getLogger(__name__)

GRACE_SECONDS = 2  # for requests under way; the spool gets up to 2 more


def main(arguments: list[str] | None = None) -> int:
    """Serve until a signal stops it; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m include.serving.server", description=__doc__.split("\n")[0])
    parser.add_argument("--host", default=os.environ.get("PERENNIAL_SERVING_HOST") or "127.0.0.1")
    parser.add_argument("--port", type=int, default=_port(os.environ.get("SERVING_PORT")))
    parser.add_argument("--worker", type=Place.of, help=argparse.SUPPRESS)  # given by `include.serving.workers` only
    options = parser.parse_args(arguments)
    place: Place | None = options.worker
    settings = Settings.from_environment()
    _log_plainly(place)
    if place is None and settings.serving_workers > 1:
        command = [sys.executable, "-m", "include.serving.server", "--host", options.host, "--port", str(options.port)]
        return Workers(command, settings.serving_workers, settings.home).run(options.host, options.port)
    return _serve(settings, options.host, options.port, place)


def _serve(settings: Settings, host: str, port: int, place: Place | None) -> int:
    """Serve in this process; the exit status."""
    import uvicorn

    sys.setswitchinterval(0.001)  # a large request in a thread must not hold the event loop for 5 ms at a time
    config = configuration(settings, host, port, place=place)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)  # uvicorn raises the signal again after its stop, which is not a failure
    gc.collect()
    gc.freeze()
    server = uvicorn.Server(config)
    if place is None:
        server.run()
    else:
        place.end_with_parent()
        server.run([socket.socket(fileno=place.listener)])
        place.leave()
    return 0 if server.started else 1


def configuration(
    settings: Settings, host: str, port: int, direct: bool = True, place: Place | None = None
) -> uvicorn.Config:
    """uvicorn's configuration for one process of the model server.

    Parameters
    ----------
    direct : whether small predictions are answered without ASGI; see `include.serving.direct`.
    place : among the workers of the server; ``None`` if this is its only process.
    """
    import uvicorn

    from include.serving.app import create_app
    from include.serving.direct import protocol_with
    from include.serving.protocol import ConnectionLimits

    app = create_app(settings, place)
    limits = ConnectionLimits(settings.serving_read_seconds, settings.serving_connections)
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="auto",
        http=protocol_with(limits, app.predict, direct),
        ws="none",
        access_log=False,
        server_header=False,
        log_config=None,
        timeout_keep_alive=75,  # longer than clients keep an idle connection, so that they never write to a closed one
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


def _port(value: str | None) -> int:
    if value is None or value == "":
        return 8000
    if not value.isdigit():
        raise ConfigurationError(f"SERVING_PORT is {value!r}: set it to a port number, e.g. 8000.")
    return int(value)


def _log_plainly(place: Place | None) -> None:
    who = f"worker {place.number} " if place is not None else ""
    formatter = logging.Formatter(f"%(asctime)s %(levelname)s {who}%(name)s: %(message)s", "%Y-%m-%dT%H:%M:%SZ")
    formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)


if __name__ == "__main__":
    sys.exit(main())
