"""What the tests of the Models pages share: the app as Airflow mounts it, and a model with hostile texts everywhere."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
from deltalake import write_deltalake

from include.data.lake import QUARANTINE
from include.registry.bundles import BundleStore
from include.registry.days import Days
from include.registry.evidence import Evidence, Figures, Interval, Metric, SliceEvidence, TrialEvidence
from include.registry.ledger import Ledger
from include.registry.rows import DayRow
from include.settings import Settings
from tests.plugins.airflow_database import token

SCRIPT = "<script>alert('x')</script>"
"""Put into every value that comes from data, notes, names or reasons."""
HOSTILE = "hostile"
"""The model whose folder has `SCRIPT` in its texts."""
BROKEN = "broken_one"
"""The model whose folder does not load."""
TOY = Path(__file__).parent.parent / "models_for_tests" / "toy"
YESTERDAY = (datetime.now(UTC).date() - timedelta(days=1)).isoformat()


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


def fill_ledger() -> None:
    """Three versions; the second one was rolled back to by hand, and promotion is frozen."""
    ledger, store = Ledger.default(), BundleStore.default()
    for number in (1, 2, 3):
        run = f"run-{number}-{SCRIPT}"
        ledger.allocate(HOSTILE, run)
        ledger.add_version(
            HOSTILE, number, run_id=run, candidate=SCRIPT, recipe={"window_days": 20, "note": SCRIPT},
            twin="a" * 64, twin_first="2025-01-01", twin_last="2025-01-20", metrics={"log_loss": 0.5},
        )  # fmt: skip
        digest = store.write(HOSTILE, {"card.html": SCRIPT.encode(), "number": str(number).encode()})
        ledger.set_bundle(HOSTILE, number, digest)
        ledger.record_decision(
            HOSTILE, run, as_of=f"2025-01-2{number}", verdict="promote", reason=SCRIPT, version=number,
            parameters={"note": SCRIPT}, code_digest="b" * 64, snapshot_digest="c" * 64,
            checks=[{"name": SCRIPT, "value": SCRIPT, "limit": 0.5, "passed": False, "sentence": SCRIPT}],
            figures=Figures(metric="log_loss", value=0.5, over_baseline=Interval(value=0.1, lower=0.05)),
            evidence=Evidence(
                metrics=(Metric(name=SCRIPT, value=0.5),),
                slices=(SliceEvidence(column=SCRIPT, value=SCRIPT, rows=9, challenger=0.4, champion=0.5, gain=None),),
                trials=(
                    TrialEvidence(
                        name=SCRIPT, metrics=(Metric(name=SCRIPT, value=0.5),), seconds=1.0, rows=9,
                        first="2025-01-01", last="2025-01-20",
                    ),
                ),
            ),
        )  # fmt: skip
        epoch = ledger.standing(HOSTILE).epoch
        ledger.promote(HOSTILE, number, digest, epoch, "perennial", run, SCRIPT)
    second = ledger.version(HOSTILE, 2)
    assert second is not None and second.bundle is not None
    ledger.promote(HOSTILE, 2, second.bundle, 3, SCRIPT, f"back-{SCRIPT}", SCRIPT, "rollback", freeze=True)
    Days.default().record([DayRow(HOSTILE, YESTERDAY, "rejected", 9, 60, SCRIPT, "d" * 64, SCRIPT)])


def quarantine(rows: int, day: str = YESTERDAY) -> None:
    """Rows in quarantine; every third one failed another expectation."""
    texts = {
        "partition": [day] * rows,
        "_batch": ["d" * 64] * rows,
        "_expectation": [SCRIPT if n % 3 else "values of x between 0 and 5" for n in range(rows)],
        "_column": ["x"] * rows,
        "_key": [f'{{"id": "row {n} {SCRIPT}"}}' for n in range(rows)],
        "_row": [f'{{"id": "row {n}", "x": "{SCRIPT}", "z": null}}' for n in range(rows)],
    }
    path = Settings.from_environment().lake / HOSTILE / "quarantine"
    path.mkdir(parents=True, exist_ok=True)
    write_deltalake(str(path), pa.table(texts, schema=QUARANTINE), mode="append", partition_by=["partition"])
