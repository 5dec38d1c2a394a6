"""Loading the plugin is cheap, and its pages ask for a login."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parent.parent.parent


def test_loading_the_plugin_imports_no_web_server_and_nothing_heavy() -> None:
    """Airflow loads plugins in every task's process."""
    code = (
        "import sys; import airflow.sdk, airflow.timetables.trigger, airflow.listeners; before = set(sys.modules);"
        "import perennial_plugin;"
        "heavy = ('fastapi', 'airflow.api_fastapi', 'pandas', 'numpy', 'sklearn', 'mlflow', 'great_expectations');"
        "print([m for m in sorted(set(sys.modules) - before) if m.startswith(heavy)])"
    )
    env = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'plugins'}"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]", done.stdout


@pytest.mark.parametrize("path", ["/demand/validation/2026-01-01", "/demand/card/1"])
def test_a_page_without_a_login_is_401(path: str) -> None:
    from perennial.console.app import create_app

    async def ask() -> int:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(create_app()), base_url="http://airflow") as client:
            return (await client.get(path)).status_code

    assert asyncio.run(ask()) == 401
