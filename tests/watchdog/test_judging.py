"""What a look concludes from what the sources say: each kind opens, closes, and stays unknown."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from include.overview.records import ServedModel, Server
from include.registry.incident_rows import IncidentKind as Kind
from include.watchdog.judging import asked
from include.watchdog.records import Disk, Evidence, Findings, Spool, Unsure
from tests.overview.made import DAY, NIGHT, NOW, champion, day, decision, keys, published, run
from tests.watchdog.made import LATER, found, healthy, keys_of, view

GIB = 2**30
FRESH: dict[str, Any] = {"decisions": [], "runs": [], "standing": None, "days": [], "server": Server({})}
"""Sources about a model that was just added to an empty stack."""


def test_a_healthy_model_has_no_incident_and_nothing_is_unknown() -> None:
    assert found(healthy(), behind=frozenset(), silent=False, spools=(), disks=()) == Findings()


# -- nights


def test_a_night_that_neither_ran_nor_was_decided_pages_at_the_hour_of_the_monitoring_and_not_before() -> None:
    yesterday = decision(at=NIGHT - DAY, run_id="r1")
    sources = healthy(decisions=[yesterday], runs=[run(1, run_after=NIGHT - DAY, start=NIGHT - DAY)])
    before = found(sources, NIGHT + timedelta(minutes=110))
    assert not before.seen and Unsure("toy", Kind.NIGHT) in before.unsure
    (seen,) = found(sources, NIGHT + timedelta(minutes=121)).seen
    assert keys_of([seen]) == [("toy", "night", "no decision", "critical")] and seen.since == "2026-05-10"
    assert "No run of toy_retrain has begun" in seen.how_bad and "Version 2 continues" in seen.done


def test_an_incident_of_a_night_begins_with_the_first_of_several() -> None:
    old = decision(at=NIGHT - 4 * DAY, run_id="r1")
    (seen,) = found(healthy(decisions=[old], runs=[])).seen
    assert seen.since == "2026-05-07", "the nights of 7 to 10 May did not run"


def test_a_night_that_is_paused_or_takes_long_is_a_warning() -> None:
    yesterday = decision(at=NIGHT - DAY, run_id="r1")
    paused = found(healthy(decisions=[yesterday], runs=[], paused=frozenset({"toy_retrain"})))
    assert keys_of(paused.seen) == [("toy", "night", "no decision", "warning")]
    assert paused.seen[0].todo.startswith("Unpause toy_retrain")
    runs = found(healthy(decisions=[yesterday], runs=[run(state="running")]))
    assert keys_of(runs.seen) == [("toy", "night", "no decision", "warning")]
    assert runs.seen[0].page == "/dags/toy_retrain/runs/r2"


@pytest.mark.parametrize("verdict", ["promote", "hold", "reject"])
def test_any_decision_closes_the_incident_of_a_night(verdict: str) -> None:
    state = {"promote": "champion", "hold": "held", "reject": "rejected"}[verdict]
    sources = healthy(decisions=[decision(3, verdict, state=state)], standing=champion(3), runs=[run(3)])
    served = Server({"toy": ServedModel("toy", 3, None, None)})
    assert found(replace(sources, server=served)) == Findings()


def test_a_release_that_waits_for_a_person_has_a_decision() -> None:
    passed = decision(3, state="packaged")
    waits = run(3, "running", "release", run_id="v3__abc", run_after=NIGHT + timedelta(minutes=20))
    result = found(healthy(decisions=[passed], runs=[run(3), waits]))
    assert not result.seen and Unsure("toy", Kind.NIGHT) not in result.unsure


def test_a_failed_night_is_an_incident_of_its_run_and_ends_with_the_next_decision() -> None:
    failed = run(state="failed", failed_tasks=("train",), note="FAILED in `train`: no rows")
    (seen,) = found(healthy(decisions=[], runs=[failed])).seen
    assert keys_of([seen]) == [("toy", "run", "retrain", "critical")]
    assert seen.how_bad == "No rows. The task train of toy_retrain failed."
    tomorrow = NOW + DAY
    again = found(healthy(decisions=[], runs=[failed]), tomorrow)
    assert keys_of(again.seen)[:1] == [("toy", "night", "no decision", "critical")]
    assert Unsure("toy", Kind.RUN, "retrain") in again.unsure, "a night that did not run does not end the failure"


def test_a_run_that_a_person_marked_or_that_was_refused_pages_nobody() -> None:
    marked = run(state="failed", note="MARKED failed: a person set the state of this run.")
    assert found(healthy(decisions=[], runs=[marked])).seen == ()
    refused = run(state="failed", note="REFUSED: the conf has a number of more than 64 bits.")
    assert keys_of(found(healthy(decisions=[], runs=[refused])).seen) == [("toy", "run", "retrain", "warning")]


def test_a_version_that_was_to_be_promoted_and_does_not_serve_pages() -> None:
    lost = decision(3, state="packaged")
    result = found(healthy(decisions=[lost], runs=[run(3)]))
    assert keys_of(result.seen) == [("toy", "night", "not released", "critical")]


# -- what is not known, and what is new


def test_without_airflow_neither_nights_nor_missing_days_nor_runs_open_or_close() -> None:
    yesterday = decision(at=NIGHT - DAY, run_id="r1")
    days = [*published(*keys()[:-3]), day(keys()[-2], "rejected", None)]
    result = found(healthy(decisions=[yesterday], runs=[], days=days), asked=False)
    assert keys_of(result.seen) == [("toy", "day", "day:2026-05-08", "critical")], "the ledger knows what it rejected"
    assert result.unsure >= {
        Unsure("toy", Kind.NIGHT),
        Unsure("toy", Kind.DAY, "day:2026-05-07"),
        Unsure("toy", Kind.DAY, "day:2026-05-09"),
    }
    assert Kind.RUN not in asked(Evidence(None)) and Kind.RUN in asked(Evidence(view()))


def test_a_fresh_stack_opens_nothing() -> None:
    """No champion, nothing loaded, the night of today due before Airflow had read the folder."""
    result = found(healthy(**FRESH, paused=frozenset({"toy_retrain"})), spools=(), disks=())
    assert result.seen == ()
    seen_late = healthy(**FRESH, first_seen={"toy": NIGHT + timedelta(hours=1)})
    assert found(seen_late, spools=(), disks=()).seen == ()


@pytest.mark.parametrize("loaded", [1, 90])
def test_days_that_are_still_to_be_loaded_the_first_time_open_nothing(loaded: int) -> None:
    days = published(*keys("2026-05-03", loaded))
    sources = healthy(**{**FRESH, "days": days}, paused=frozenset({"toy_retrain"}))
    result = found(sources)
    assert result.seen == () and Unsure("toy", Kind.DAY, "day:2026-05-09") in result.unsure
    old = healthy(days=days)
    assert {seen.cause for seen in found(old).seen} == {f"day:2026-05-0{n}" for n in range(4, 10)}
    assert found(old, airflow=view(run(), loading=frozenset({"toy"}))).seen == (), "a run of toy_load loads them"


def test_after_a_start_of_the_scheduler_what_was_due_meanwhile_may_still_begin() -> None:
    yesterday = decision(at=NIGHT - DAY, run_id="r1")
    sources = healthy(decisions=[yesterday], runs=[], days=published(*keys()[:-3]))
    just = found(sources, airflow=view(scheduling=LATER - timedelta(minutes=3)))
    assert just.seen == () and Unsure("toy", Kind.NIGHT) in just.unsure
    assert len(found(sources, airflow=view(scheduling=LATER - timedelta(minutes=20))).seen) == 4


# -- days


def test_days_that_were_rejected_failed_or_are_missing_each_page() -> None:
    a, b, c = keys()[-4:-1]
    days = [*published(*keys()[:-4], keys()[-1]), day(a, "rejected", None, reason="7 checks failed")]
    failed = run(7, "failed", "collect", day=b, failed_tasks=("collect",), run_type="backfill")
    result = found(healthy(days=days, runs=[run(), failed]))
    assert keys_of(result.seen) == [
        ("toy", "day", f"day:{a}", "critical"),
        ("toy", "day", f"day:{b}", "critical"),
        ("toy", "day", f"day:{c}", "critical"),
    ]
    assert [seen.how_bad for seen in result.seen] == [
        "7 checks failed.", "The task collect of toy_collect failed.", "It was not collected.",
    ]  # fmt: skip
    assert result.seen[1].page == "/dags/toy_collect/runs/r7"
    assert found(healthy(days=published(*keys()))).seen == (), "they arrived"


def test_a_day_that_is_collected_again_is_unknown_and_a_paused_collection_is_a_warning() -> None:
    last = keys()[-1]
    days = [*published(*keys()[:-1]), day(last, "rejected", None)]
    again = run(7, "running", "collect", day=last, start=NOW, run_after=NOW)
    result = found(healthy(days=days, runs=[run(), again]))
    assert result.seen == () and Unsure("toy", Kind.DAY, f"day:{last}") in result.unsure
    paused = found(healthy(days=published(*keys()[:-1]), paused=frozenset({"toy_collect"})))
    assert keys_of(paused.seen) == [("toy", "day", f"day:{last}", "warning")]


# -- folders


def test_a_broken_folder_warns_and_pages_when_it_has_missed_a_night() -> None:
    since = {"toy": LATER - timedelta(hours=25)}
    first = found(healthy(), problem="event_time names nothing")
    assert keys_of(first.seen) == [("toy", "folder", "broken", "warning")]
    assert "model.py:76: event_time names nothing" in first.seen[0].how_bad
    assert first.unsure >= {Unsure("toy", Kind.NIGHT), Unsure("toy", Kind.DAY)}, "they cannot be judged without it"
    later = found(healthy(), problem="event_time names nothing", broken_since=since)
    assert keys_of(later.seen) == [("toy", "folder", "broken", "critical")]


# -- the model server


def test_a_server_that_is_behind_or_silent_pages_only_after_two_looks() -> None:
    behind = healthy(server=Server({"toy": ServedModel("toy", 1, None, None)}))
    once = found(behind)
    assert once.seen == () and Unsure("toy", Kind.SERVICE, "server:behind") in once.unsure
    twice = found(behind, behind=frozenset({"toy"}))
    assert keys_of(twice.seen) == [("toy", "service", "server:behind", "critical")]
    assert "the server serves version 1" in twice.seen[0].how_bad
    silent = healthy(server=None)
    assert found(silent).seen == () and Unsure("", Kind.SERVICE, "server:silent") in found(silent).unsure
    confirmed = found(silent, silent=True)
    assert keys_of(confirmed.seen) == [("", "service", "server:silent", "critical")]
    assert Unsure("toy", Kind.SERVICE, "server:behind") in confirmed.unsure, "it cannot be known whether it is behind"
    assert Kind.SERVICE not in asked(Evidence(None, served=False))


def test_a_release_under_way_is_not_behind() -> None:
    new = healthy(
        standing=champion(since=LATER - timedelta(minutes=1)), server=Server({"toy": ServedModel("toy", 1, None, None)})
    )
    assert found(new, behind=frozenset({"toy"})).seen == ()


# -- runs


def test_failed_runs_of_every_other_dag_are_incidents_until_a_later_run_succeeds() -> None:
    failed = [
        run(1, "failed", "load", failed_tasks=("load",)),
        run(2, "failed", "rollback"),
        run(3, "failed", "monitor", note="FAILED in `measure`: the lake does not answer"),
        run(4, "failed", "collect"),
        run(5, "failed", dag_id="perennial_predictions"),
        run(6, "failed", "retrain"),
        run(7, "failed", "broken"),
        run(8, "failed", dag_id="gone_collect"),
        run(9, "failed", "load", dag_id="toy_other", note="MARKED failed: a person set the state of this run."),
    ]
    result = found(healthy(), airflow=view(run(), failed=tuple(failed)))
    assert sorted(keys_of(result.seen)) == [
        ("", "run", "predictions", "warning"),
        ("toy", "run", "collect", "warning"),
        ("toy", "run", "load", "warning"),
        ("toy", "run", "monitor", "warning"),
        ("toy", "run", "rollback", "critical"),
    ]
    texts = {seen.cause: seen.how_bad for seen in result.seen}
    assert texts["monitor"] == "The lake does not answer." and texts["load"] == "The task load failed."
    missing = found(healthy(days=published(*keys()[:-1])), airflow=view(run(), failed=(run(4, "failed", "collect"),)))
    assert keys_of(missing.seen) == [("toy", "day", f"day:{keys()[-1]}", "critical")], "one thing, one incident"


# -- spools and disks


@pytest.mark.parametrize(
    ("spool", "severity"),
    [
        (Spool("toy", 1, 10, LATER - timedelta(minutes=59)), None),
        (Spool("toy", 1, 10, LATER - timedelta(minutes=61)), "warning"),
        (Spool("toy", 9, 10, LATER - timedelta(hours=6, minutes=1)), "critical"),
        (Spool("toy", 9, 2 * GIB, LATER), "warning"),
        (Spool("toy", 9, 8 * GIB, LATER), "critical"),
    ],
)
def test_a_spool_that_grows_warns_and_then_pages(spool: Spool, severity: str | None) -> None:
    seen = found(healthy(), spools=(spool,)).seen
    assert keys_of(seen) == ([("toy", "spool", "grows", severity)] if severity else [])


def test_rejected_lines_warn_until_their_files_are_gone() -> None:
    spool = Spool("toy", rejected=2, newest_rejected=LATER, folders=("/spool/one/toy/rejected",))
    (seen,) = found(healthy(), spools=(spool,)).seen
    assert keys_of([seen]) == [("toy", "spool", "rejected", "warning")]
    assert seen.how_bad == "2 files with rejected lines in /spool/one/toy/rejected."
    assert found(healthy(), spools=()).seen == ()
    assert Kind.SPOOL in asked(Evidence(None, spools=())) and Kind.SPOOL not in asked(Evidence(None))


@pytest.mark.parametrize(
    ("disk", "severity"),
    [
        (Disk("lake", "/lake", 100 * GIB, 20 * GIB), None),
        (Disk("lake", "/lake", 1000 * GIB, 50 * GIB), None),
        (Disk("lake", "/lake", 10 * GIB, 3 * GIB), None),
        (Disk("lake", "/lake", 1000 * GIB, 9 * GIB), "warning"),
        (Disk("lake", "/lake", 10 * GIB, GIB + 1), "warning"),
        (Disk("lake", "/lake", 1000 * GIB, 4 * GIB), "critical"),
        (Disk("lake", "/lake", 2 * GIB, GIB - 1), "critical"),
        (Disk("lake", "/lake", 100 * GIB, 50 * GIB, 1000, 40), "warning"),
        (Disk("lake", "/lake", 100 * GIB, 50 * GIB, 1000, 4), "critical"),
    ],
)
def test_a_disk_that_fills_warns_and_then_pages(disk: Disk, severity: str | None) -> None:
    seen = found(healthy(), disks=(disk,)).seen
    assert keys_of(seen) == ([("", "disk", "lake", severity)] if severity else [])
