"""What the tests of the Models pages share: the app as Airflow mounts it, and a model with hostile texts everywhere."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.plugins.airflow_database import token

SCRIPT = "<script>alert('x')</script>"
"""Put into every value that comes from data, notes, names or reasons."""
HOSTILE = "hostile"
"""The model whose folder has `SCRIPT` in its texts."""
BROKEN = "broken_one"
"""The model whose folder does not load."""


@dataclass(frozen=True)
class Browser:
    """Asks the app for pages, as the browser of a user with this role; ``None``: of a user without any permission."""

    app: Any
    role: str | None
    logged_in: bool = True

    def get(self, path: str) -> httpx.Response:
        """The answer to one request."""
        return asyncio.run(self._get(path))

    async def _get(self, path: str) -> httpx.Response:
        cookies = {"_token": token("ada", self.role)} if self.logged_in else {}
        transport = httpx.ASGITransport(self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://airflow", cookies=cookies) as client:
            return await client.get(path)


def mounted() -> Any:
    """The app at its place below Airflow's own app."""
    from fastapi import FastAPI
    from perennial.console.app import PREFIX, create_app

    root = FastAPI()
    root.mount(PREFIX, create_app())
    return root


def hostile_model(folder: Path, toy: Path) -> None:
    """A copy of the toy with `SCRIPT` in every text of its declaration."""
    made = folder / HOSTILE
    made.mkdir(parents=True)
    for file in toy.glob("*.py"):
        code = file.read_text()
        if file.name == "model.py":
            code = code.replace('name="toy"', f'name="{HOSTILE}"')
            for wrong, right in (
                ('owner="tests"', f'owner="{SCRIPT}"'),
                ("A toy: whether", f"{SCRIPT} whether"),
                ('tags=("test",)', f'tags=("{SCRIPT}",)'),
            ):
                assert wrong in code, wrong
                code = code.replace(wrong, right)
        (made / file.name).write_text(code)


def broken_model(folder: Path, toy: Path) -> None:
    """A copy of the toy whose `model.py` fails with `SCRIPT` in its error."""
    made = folder / BROKEN
    made.mkdir(parents=True)
    for file in toy.glob("*.py"):
        (made / file.name).write_text(file.read_text())
    code = (made / "model.py").read_text()
    (made / "model.py").write_text(f'{code}\nraise ValueError("{SCRIPT}")\n')
