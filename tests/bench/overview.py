"""What the Models page asks for, with 500 models of 400 nights: the ledger's part, and all of it but the rendering.

The ledger is filled with SQL, with checks and evidence of the size that real decisions have. The same with a tenth of
the nights shows whether the time grows with the length of the history.
"""

from __future__ import annotations

import gc
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from unittest import mock

from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from include.overview import days
from include.overview.all_models import overview
from include.overview.document import to_json
from include.overview.records import RunRow, Runs
from include.partitions import utc_now
from include.registry import overview as ledger
from include.registry.ledger import Ledger
from tests.bench.figures import Row
from tests.bench.parsing import write_models
from tests.bench.shared import Bench
from tests.services import Services, services

MODELS, VERSIONS, FEW = 500, 400, 40
ROUNDS = 5
BAR_LEDGER, BAR_ALL, BAR_GROWTH = 300.0, 700.0, 1.5
WRITTEN = Path(__file__).parent.parent / "retraining" / "written_before" / "ledger.json"

FILL = """
INSERT INTO perennial.version (model, version, run_id, candidate, recipe, twin, twin_first, twin_last, metrics, bundle,
    state, created_at)
SELECT 'copy_' || lpad(m::text, 4, '0'), v, 'run-' || v, 'boosting', '{"candidate": "boosting", "window_days": 60}',
    md5(v::text), '2025-01-01', '2025-03-01', '{}', CASE WHEN v % 3 = 0 OR v = :last THEN md5(m || '.' || v) END,
    CASE WHEN v = :last THEN 'champion' WHEN v % 3 = 0 THEN 'retired' WHEN v % 3 = 1 THEN 'held' ELSE 'rejected' END,
    :now - (:last - v) * interval '1 day'
FROM generate_series(0, :models - 1) AS m, generate_series(1, :last) AS v;
INSERT INTO perennial.champion (model, version, digest, epoch, run_id)
SELECT model, version, bundle, 1, run_id FROM perennial.version WHERE state = 'champion';
INSERT INTO perennial.decision (model, run_id, as_of, verdict, reason, version, parameters, code_digest,
    snapshot_digest, checks, decided_at, figures, evidence)
SELECT model, run_id, to_char(created_at - interval '1 day', 'YYYY-MM-DD'),
    CASE WHEN state IN ('champion', 'retired') THEN 'promote' WHEN state = 'held' THEN 'hold' ELSE 'reject' END,
    'Against champion version ' || version || repeat(' its log_loss is 0.6150 to 0.6128', 4), version, '{"seed": 0}',
    md5(model), md5(run_id), CAST(:checks AS jsonb), created_at,
    jsonb_build_object('metric', 'log_loss', 'value', 0.6, 'over_baseline',
        jsonb_build_object('value', 0.001 * (version % 50), 'lower', 0.01, 'upper', 0.09)),
    CAST(:checks AS jsonb)
FROM perennial.version;
INSERT INTO perennial.audit (actor, action, model, version, reason, run_id, at)
SELECT 'perennial', action, model, version, 'because', run_id, created_at
FROM perennial.version, unnest(ARRAY['register', 'decide', 'package', 'promote']) AS action;
INSERT INTO perennial.day (model, key, state, rows, quarantined, reason, batch)
SELECT model, to_char(created_at - interval '1 day', 'YYYY-MM-DD'), 'published', 1000, 3, '', md5(run_id)
FROM perennial.version;
UPDATE perennial.champion SET frozen = true, frozen_reason = 'because' WHERE model LIKE '%00';
INSERT INTO perennial.audit (actor, action, model, reason) SELECT 'ada', 'freeze', model, 'because'
FROM perennial.champion WHERE frozen;
"""


def measure(bench: Bench) -> Iterator[Row]:
    """The ledger's part with a long and a short history, then everything."""
    rounds, now = bench.rounds(ROUNDS), utc_now()
    write_models(bench.models, MODELS)
    with services(mlflow=False) as running, frozen():
        bench.say(f"filling a ledger with {MODELS} models of {FEW} and of {VERSIONS} nights ...")
        few, many = filled(running, FEW, now), filled(running, VERSIONS, now)
        asked = {url: [milliseconds(url, now) for _ in range(rounds + 1)][1:] for url in (few, many)}
        yield Row(f"ledger, {MODELS} models of {VERSIONS} nights", asked[many], "ms", bar=BAR_LEDGER)
        peer = f"the same with {FEW} nights each"
        yield Row("ledger, growth with the history", asked[many], "ms", peer, asked[few], BAR_GROWTH)
        variables = {"PERENNIAL_DATABASE_URL": many, "PERENNIAL_SERVING_URL": "http://127.0.0.1:9"}
        with mock.patch.dict(os.environ, variables):
            runs = made_up(now)
            first = whole(runs, now)
            values = [whole(runs, now) for _ in range(rounds)]
        what = f"all that the page of {MODELS} models shows, as JSON"
        yield Row(what, values, "ms", bar=BAR_ALL, details=f"the first time, with every model.py: {first:.0f} ms")


@contextmanager
def frozen() -> Iterator[None]:
    """The garbage collector leaves alone what exists now, as in the web server of the pages."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def filled(running: Services, versions: int, now: datetime) -> str:
    """A new ledger with so many nights of every model; its address."""
    url = running.new_database(f"nights_{versions}")
    Ledger(url).migrate()
    checks = json.dumps(json.loads(WRITTEN.read_text())["decision"]["checks"])
    with create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT").connect() as connection:
        values = {"models": MODELS, "last": versions, "now": now - timedelta(hours=2), "checks": checks}
        for statement in filter(None, (part.strip() for part in FILL.split(";\n"))):
            names = [name for name in values if f":{name}" in statement]
            connection.execute(text(statement), {name: values[name] for name in names})
        connection.execute(text("VACUUM ANALYZE"))
    return url


def milliseconds(url: str, now: datetime) -> float:
    """Of one look at the ledger."""
    began = time.perf_counter()
    found = ledger.read({}, days.since(None, now), now, url=url)
    spent = 1e3 * (time.perf_counter() - began)
    assert len(found.champions) == MODELS and all(len(lines.days) >= 14 for lines in found.days.values())
    return spent


def whole(runs: Runs, now: datetime) -> float:
    """Of the whole overview and its document."""
    began = time.perf_counter()
    document = to_json(overview(runs, now))
    spent = 1e3 * (time.perf_counter() - began)
    assert sum(model["name"].startswith("copy_") for model in document["models"]) == MODELS
    return spent


def made_up(now: datetime) -> Runs:
    """Airflow's runs of every model in the last 16 nights."""
    rows = [
        RunRow(
            dag_id=f"copy_{number:04}_retrain",
            run_id=f"run-{VERSIONS - ago}",
            state="success",
            run_type="scheduled",
            run_after=now - timedelta(days=ago, hours=3),
            note="promoted: version 3",
        )
        for number in range(MODELS)
        for ago in range(16)
    ]
    return Runs(tuple(rows), now - timedelta(days=16))
