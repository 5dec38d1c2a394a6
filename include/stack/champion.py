"""The first request of a user: the champion's version, and a `curl` line with a real row to paste."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from include.errors import TransientError
from include.scoring.messages import Row
from include.scoring.record import PROBE_HEADER
from include.stack import credentials
from include.stack.layout import Stack

REFUSALS = 100  # answers of a server that does not serve the version yet: counted, not timed


@dataclass(frozen=True)
class Answer:
    """An answer of the model server for one row."""

    model: str
    version: int
    body: dict[str, Any]
    curl: str


def row(model: str, digest: str) -> Row:
    """The first probe row of a bundle: a real row of the lake, stored with the score that the bundle gives for it."""
    from include.registry.bundles import BundleStore
    from include.scoring.documents import Probe

    probe = Probe.of(BundleStore.default().open(model, digest))
    return {name: value for name, value in probe.rows[0].items() if value is not None}


def ask(
    stack: Stack, model: str, wanted: Callable[[], tuple[int, str] | None], check: Callable[[], None]
) -> Answer | None:
    """Ask the model server for the score of one row until the version that should serve answers.

    Parameters
    ----------
    wanted : version and digest that should serve now. ``None``: nothing should serve, and the result is ``None``, too.
    check : called while waiting; raises if that has become pointless.

    Raises
    ------
    TransientError : the server has answered `REFUSALS` times with something else. The message has its last answer.
    """
    token = credentials.read(stack, "serving_token")
    headers = {PROBE_HEADER: "1", **({"Authorization": f"Bearer {token}"} if token else {})}
    url = f"{stack.serving_url}/models/{model}/predict"
    refusals = 0
    while (serving := wanted()) is not None:
        version, digest = serving
        body = {"rows": [row(model, digest)]}
        try:
            answer = httpx.post(url, json=body, headers=headers, timeout=10, trust_env=False)
        except httpx.HTTPError:
            refusals = 0  # the server is unreachable: it is starting or restarting
        else:
            if answer.status_code == 200 and answer.json().get("version") == version:
                return Answer(model, version, answer.json(), curl_line(stack, url, body, token is not None))
            refusals += 1
            if refusals > REFUSALS:
                raise TransientError(f"{url} does not answer with version {version}: {answer.text[:300]}")
        check()
        time.sleep(0.2 if refusals < 50 else 1.0)
    return None


def curl_line(stack: Stack, url: str, body: Mapping[str, Sequence[Row]], with_token: bool) -> str:
    """One line for a shell. The shell reads the token from its file, so it does not appear in a history."""
    parts = ["curl", "-s", shlex.quote(url), "-H", "'Content-Type: application/json'"]
    if with_token:
        path = shown(stack.secrets / "serving_token")
        parts += ["-H", f'"Authorization: Bearer $(cat {shlex.quote(path)})"']
    return " ".join([*parts, "-d", shlex.quote(json.dumps(body))])


def shown(path: Path) -> str:
    """The path, relative to the current folder if it is below it."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
