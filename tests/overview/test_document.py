"""The overview as JSON and as lines of a terminal."""

from __future__ import annotations

import json
from dataclasses import replace

from include.overview.document import lines, to_json
from include.overview.needs import headline
from include.overview.records import Live, Overview, ServedModel, Server
from include.overview.rows import row
from include.registry.overview import IncidentLine
from tests.overview.made import NIGHT, NOW, champion, decision, entry, known, model, published, run


def overview(*models: object, problems: tuple[str, ...] = ()) -> Overview:
    return Overview(NOW, headline(models, NOW), models, problems)  # type: ignore[arg-type]


def healthy() -> object:
    server = Server({"toy": ServedModel("toy", 2, None, Live(1200, 3, 7, 0.42, 23.5))})
    return row("toy", entry(model()), known([decision(gain=float("nan"))], [run()], champion(), server=server), NOW)


def test_the_document_is_json_with_null_for_what_is_not_known() -> None:
    document = to_json(overview(healthy()))
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    found = document["models"][0]
    assert document["at"] == "2026-05-10T07:00:00Z" and found["night"]["outcome"] == "promoted"
    assert found["freeze"] is None and found["quality"]["points"][0]["value"] is None
    assert found["live"] == {"requests": 1200, "errors": 3, "invalid": 7, "p95": 0.42, "hours": 23.5}
    assert found["serving"]["state"] == "serves" and len(found["data"]["days"]) == 14


def test_the_lines_of_a_healthy_model() -> None:
    assert lines(overview(healthy())) == [
        "Last night: 1 promoted. No action is needed.",
        "  toy: PROMOTED (version 2); version 2 serves, learned up to 2026-05-09 (1 day old); data up to 2026-05-09; "
        "health not known; 1,200 requests in 23.5 h, 3 errors, p95 0.42 ms",
        "      because of 2.",
    ]


def test_the_lines_name_what_is_wrong_and_what_to_do() -> None:
    days = published("2026-05-07", "2026-05-09", quarantined=4)
    failed = run(state="failed", failed_tasks=("train",), note="stopped: no rows")
    found = row("toy", entry(model()), known([], [failed], champion(3), days=days, server=None), NOW)
    printed = lines(overview(found, problems=("The model server does not answer.",)))
    assert printed[1] == "The model server does not answer."
    assert printed[2].startswith("  toy: FAILED in train; version 3 is the champion; whether it serves is not known")
    assert printed[3:6] == [
        "      No rows. The task train of toy_retrain failed.",
        "      days: 1 missing (2026-05-08)",
        "      8 rows in quarantine",
    ]
    assert printed[6].startswith("      -> Read the log of the task train")


def test_unknown_is_said_in_every_line() -> None:
    evidence = replace(known([decision()], [], champion()), ledger=None, server=None, since=None)
    printed = lines(overview(row("toy", entry(model()), evidence, NOW)))
    assert printed[0] == "Last night: 1 unknown. No action is needed."
    assert printed[1] == "  toy: UNKNOWN; what serves is not known; health not known"


def test_an_open_incident_is_a_word_and_its_reason() -> None:
    sources = known([decision()], [run()], champion())
    assert sources.ledger is not None
    found = IncidentLine(7, "stale", "critical", "open", "A newer fit is better", "Release it.", None)
    view = replace(sources.ledger, incidents={"toy": [found]}, looks={"toy": NOW})
    printed = lines(overview(row("toy", entry(model()), replace(sources, ledger=view), NOW)))
    assert "; stale" in printed[1] and "      stale: A newer fit is better." in printed
    assert printed[-1] == "      -> Incident 7: Release it."


def test_a_freeze_is_named() -> None:
    from include.registry.rows import FreezeRow

    frozen = champion(frozen=True, freeze=FreezeRow("toy", "bob", NIGHT, "a bad day"))
    printed = lines(overview(row("toy", entry(model()), known([decision()], [run()], frozen), NOW)))
    assert "      promotion is frozen by bob since 2026-05-10 03:00 UTC: a bad day" in printed
