"""The overview of real folders, a real ledger and a real model server, whichever of them answers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from include.overview import model_server
from include.overview.all_models import model_overview, overview
from include.overview.document import to_json
from include.overview.records import DayState, Filter, Outcome, RunRow, Runs, ServerState
from include.partitions import utc_now
from include.registry.days import Days
from include.registry.evidence import Figures, Interval
from include.registry.ledger import Ledger
from include.registry.rows import DayRow
from include.release.promotion import promote
from tests.release.bundles import package
from tests.services import model_server as serving

Adding = Callable[[str], Path]


def runs(*rows: RunRow) -> Runs:
    return Runs(rows, utc_now() - timedelta(days=16))


def decide(model: str, version: int, verdict: str = "promote") -> None:
    Ledger.default().record_decision(
        model, f"retrain-{version}", as_of=utc_now().date().isoformat(), verdict=verdict, reason="it is better",
        version=version, parameters={}, code_digest="c", snapshot_digest="s", checks=[],
        figures=Figures(metric="log_loss", value=0.5, over_baseline=Interval(value=0.2, lower=0.1, upper=0.3)),
    )  # fmt: skip


def test_no_model(home: Path, folder: Adding) -> None:
    found = overview(runs(), utc_now())
    assert (found.headline, found.models) == ("There are no models.", ())


def test_a_champion_and_a_broken_folder(home: Path, folder: Adding, monkeypatch: pytest.MonkeyPatch) -> None:
    folder("tickets")
    (folder("halfway") / "source.py").unlink()
    package("tickets", 1)
    decide("tickets", 1)
    promote("tickets", 1, "retrain-1", "perennial", "first")
    yesterday = (utc_now() - timedelta(days=1)).date().isoformat()
    Days.default().record([DayRow("tickets", yesterday, "published", 10, 2)])
    Ledger.default().freeze("gone", "ada", "looking")
    Ledger.default().freeze("history", "ada", "looking")
    Ledger.default().unfreeze("history", "ada", "it is gone")
    with serving({"PERENNIAL_HOME": str(home)}, home / "server.log") as url:
        monkeypatch.setenv("PERENNIAL_SERVING_URL", url)
        found = overview(runs(), utc_now())
        only = model_overview("tickets", runs(), utc_now())
    assert [model.name for model in found.models][0] == "halfway" and found.problems == ()
    models = {model.name: model for model in found.models}
    assert set(models) == {"tickets", "halfway", "gone"}
    tickets, halfway, gone = models["tickets"], models["halfway"], models["gone"]
    assert tickets.night.outcome is Outcome.PROMOTED and tickets == only
    assert tickets.serving is not None and tickets.serving.state is ServerState.SERVES
    assert tickets.quality is not None and tickets.quality.over_baseline is not None
    assert tickets.quality.over_baseline.value == 0.2 and tickets.quality.points[-1].promoted
    assert tickets.live is not None and tickets.live.requests == 0
    assert tickets.data is not None and tickets.data.newest == yesterday
    assert halfway.night.outcome is Outcome.BROKEN and "source.py is missing" in halfway.night.sentence
    assert gone.freeze is not None and gone.freeze.actor == "ada" and gone.owner is None
    assert re.match(r"Last night: 1 promoted, 1 broken, 1 not due\. \d needs? you\.", found.headline), found.headline
    assert json.loads(json.dumps(to_json(found), allow_nan=False))["models"][0]["name"] == "halfway"


def test_a_reader_sees_only_what_is_allowed_and_asked_for(home: Path, folder: Adding) -> None:
    for name in ("one", "two"):
        folder(name)
    assert [m.name for m in overview(runs(), utc_now(), names={"two"}).models] == ["two"]
    assert [m.name for m in overview(runs(), utc_now(), Filter(name="on")).models] == ["one"]
    assert overview(runs(), utc_now(), Filter(name="x")).headline == "There are no models."
    assert model_overview("three", runs(), utc_now()) is None


def test_no_service_answers(home: Path, folder: Adding, monkeypatch: pytest.MonkeyPatch) -> None:
    folder("tickets")
    monkeypatch.setenv("PERENNIAL_DATABASE_URL", "postgresql://ada:s3cret@127.0.0.1:9/perennial")
    monkeypatch.setenv("PERENNIAL_SERVING_URL", "http://127.0.0.1:9")
    found = overview(None, utc_now())
    (model,) = found.models
    assert model.night.outcome is Outcome.UNKNOWN and (model.serving, model.data, model.live) == (None, None, None)
    assert len(found.problems) == 3 and not any("s3cret" in problem for problem in found.problems)
    assert found.headline == "Last night: 1 unknown. No action is needed, as far as is known."


def test_a_ledger_that_was_not_migrated_is_named(
    home: Path, folder: Adding, services: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder("tickets")
    url = services.new_database(f"empty_{utc_now().timestamp():.0f}")  # type: ignore[attr-defined]
    monkeypatch.setenv("PERENNIAL_DATABASE_URL", url)
    assert "has no ledger yet" in overview(runs(), utc_now()).problems[0]


def test_a_failed_back_fill_is_shown_by_the_day(home: Path, folder: Adding) -> None:
    folder("tickets")
    now = datetime.now(UTC)
    key, other = ((now - timedelta(days=ago)).date().isoformat() for ago in (5, 8))
    Days.default().record([DayRow("tickets", other, "published", 10, 0)])
    failed = RunRow("tickets_collect", "b1", "failed", "backfill", now, now, now, None, ("collect",), key)
    found = model_overview("tickets", runs(failed), now)
    assert found is not None and found.data is not None
    assert next(day for day in found.data.days if day.key == key).state is DayState.FAILED


def test_a_server_that_hangs_does_not_delay_the_page(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket
    import time

    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("PERENNIAL_SERVING_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        began = time.monotonic()
        assert model_server.ask(0.2) is None
        assert time.monotonic() - began < 5


def test_a_server_with_another_token_is_silent(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "bundles").mkdir()
    with serving({"PERENNIAL_HOME": str(home), "PERENNIAL_SERVING_TOKEN": "right"}, home / "server.log") as url:
        monkeypatch.setenv("PERENNIAL_SERVING_URL", url)
        monkeypatch.setenv("PERENNIAL_SERVING_TOKEN", "wrong")
        assert model_server.ask(30) is None
        monkeypatch.setenv("PERENNIAL_SERVING_TOKEN", "right")
        answer = model_server.ask(30)
        assert answer is not None and answer.by_name == {}
