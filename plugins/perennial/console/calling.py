"""How a program asks the model server for predictions of a model: with curl and with Python."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass

from include.errors import PerennialError
from include.overview.records import ModelHistory, ModelOverview
from include.registry.bundles import BundleStore
from include.scoring.documents import Probe
from include.settings import Settings

TOKEN = "PERENNIAL_SERVING_TOKEN"


@dataclass(frozen=True)
class Call:
    """A request that the champion answers.

    Attributes
    ----------
    token : the file that has the token; ``None`` if this deployment keeps it elsewhere.
    real : whether the row is one of the model's own data, and not a placeholder.
    """

    url: str
    curl: str
    python: str
    token: str | None
    real: bool


def example(row: ModelOverview, past: ModelHistory | None) -> Call | None:
    """The request for a model's champion; ``None`` if nothing should serve, or no server is configured."""
    settings = Settings.from_environment()
    version = row.serving.version if row.serving else None
    if settings.serving_public_url is None or version is None:
        return None
    bundle = next((one.bundle for one in past.versions if one.version == version), None) if past else None
    found = _row(row.name, bundle)
    url = f"{settings.serving_public_url.rstrip('/')}/models/{row.name}/predict"
    file = settings.home / "secrets" / "serving_token"
    token = str(file) if file.is_file() else None
    body = {"rows": [found or {"name of an input": "its value"}]}
    return Call(url, _curl(url, body, token), _python(url, body), token, found is not None)


def _row(model: str, bundle: str | None) -> dict[str, object] | None:
    """A row of the bundle's own probe."""
    if bundle is None:
        return None
    try:
        probe = Probe.of(BundleStore.default().open(model, bundle))
    except PerennialError:  # the bundle is missing or damaged, which is shown elsewhere
        return None
    return {name: value for name, value in probe.rows[0].items() if value is not None}


def _curl(url: str, body: object, token: str | None) -> str:
    """The shell reads the token from its file or variable, so it does not appear in a history."""
    read = f"$(cat {shlex.quote(token)})" if token else f"${TOKEN}"
    parts = [
        f"curl -s {shlex.quote(url)}",
        f'-H "Authorization: Bearer {read}"',
        "-H 'Content-Type: application/json'",
        f"-d {shlex.quote(json.dumps(body))}",
    ]
    return " \\\n  ".join(parts)


def _python(url: str, body: object) -> str:
    return f"""import os
import httpx

answer = httpx.post(
    {url!r},
    headers={{"Authorization": f"Bearer {{os.environ['{TOKEN}']}}"}},
    json={body!r},
)
print(answer.raise_for_status().json()["predictions"])"""
