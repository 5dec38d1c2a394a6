"""The partition timetable: a run is about the day that is over, whoever starts it, and a back-fill has its last day."""

from __future__ import annotations

import datetime as dt
from typing import Any
from zoneinfo import ZoneInfo

import pendulum
import pytest
from airflow.exceptions import InvalidPartitionKeyError
from airflow.models.backfill import InvalidBackfillDateRange
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction
from airflow.timetables.trigger import CronPartitionTimetable, CronTriggerTimetable
from perennial.timetables import BrokenFolderTimetable, DailyPartitionTimetable, NightTimetable

from include.partitions import keys_between, partition
from tests.plugins.airflow_database import AirflowDatabase

NEW_YORK = "America/New_York"
NIGHT = dt.datetime(2026, 5, 3, tzinfo=dt.UTC)


@pytest.fixture
def timetable() -> DailyPartitionTimetable:
    return DailyPartitionTimetable("0 6 * * *", timezone=NEW_YORK)


def keys(timetable: Any, first: str, last: str) -> list[str]:
    bounds = (dt.datetime.fromisoformat(d).replace(tzinfo=dt.UTC) for d in (first, last))
    earliest, latest = bounds
    return [i.partition_key for i in timetable.iter_partition_dagrun_infos(earliest=earliest, latest=latest)]


def test_a_back_fill_includes_its_last_day(timetable: DailyPartitionTimetable) -> None:
    assert keys(timetable, "2026-11-01", "2026-11-03") == ["2026-11-01", "2026-11-02", "2026-11-03"]
    stock = CronPartitionTimetable("0 6 * * *", timezone=NEW_YORK, run_offset=-1, key_format="%Y-%m-%d")
    assert keys(stock, "2026-11-01", "2026-11-03") == ["2026-11-01", "2026-11-02"], "the reason for our own timetable"


@pytest.mark.parametrize(("first", "last", "days"), [("2026-03-06", "2026-03-10", 5), ("2026-10-30", "2026-11-03", 5)])
def test_clock_changes_neither_lose_nor_repeat_a_day(
    timetable: DailyPartitionTimetable, first: str, last: str, days: int
) -> None:
    found = keys(timetable, first, last)
    assert len(found) == len(set(found)) == days


@pytest.mark.parametrize("tick", ["2026-03-08T06:00", "2026-03-09T06:00", "2026-11-01T06:00", "2026-11-02T06:00"])
def test_scheduled_back_filled_and_manual_runs_agree_on_the_partition(
    timetable: DailyPartitionTimetable, tick: str
) -> None:
    run_date = pendulum.parse(tick, tz=NEW_YORK).in_timezone("UTC")  # type: ignore[union-attr]
    date, key = timetable._get_partition_info(run_date)
    assert key == (run_date.in_timezone(NEW_YORK).date() - dt.timedelta(days=1)).isoformat()
    assert timetable.resolve_partition_date(key) == date
    (back_filled,) = timetable.iter_partition_dagrun_infos(
        earliest=dt.datetime.fromisoformat(key).replace(tzinfo=dt.UTC),
        latest=dt.datetime.fromisoformat(key).replace(tzinfo=dt.UTC),
    )
    assert (back_filled.partition_key, back_filled.partition_date) == (key, date)


def test_the_scheduler_gets_the_night_after(timetable: DailyPartitionTimetable) -> None:
    restriction = TimeRestriction(earliest=pendulum.datetime(2026, 11, 1, 5), latest=None, catchup=True)
    info = timetable.next_dagrun_info_v2(last_dagrun_info=None, restriction=restriction)
    assert info is not None
    assert info.run_after == pendulum.datetime(2026, 11, 1, 11)  # 06:00 in New York, after the clock change
    assert info.partition_key == "2026-10-31"


@pytest.mark.parametrize("hours", [0, 4, 5, 6, 29, 30, 24 * 30])
def test_every_day_is_run_once_after_its_labels_are_final(hours: int) -> None:
    """The ticks of two years in New York, with four clock changes."""
    delay = dt.timedelta(hours=hours)
    timetable = DailyPartitionTimetable("0 6 * * *", timezone=NEW_YORK, delay=delay)
    found = []
    for n in range(730):
        tick = pendulum.datetime(2026, 1, 1, 6, tz=NEW_YORK).add(days=n).in_timezone("UTC")
        _, key = timetable._get_partition_info(tick)
        assert partition(str(key), NEW_YORK).end + delay <= tick
        found.append(key)
    assert found == keys_between(str(found[0]), str(found[-1]))


def test_a_timetable_survives_serialisation(timetable: DailyPartitionTimetable) -> None:
    late = DailyPartitionTimetable("0 6 * * *", timezone=NEW_YORK, delay=dt.timedelta(days=2, minutes=30))
    assert DailyPartitionTimetable.deserialize(late.serialize())._delay == late._delay
    old = {name: value for name, value in late.serialize().items() if name != "delay"}
    assert DailyPartitionTimetable.deserialize(old)._delay == dt.timedelta(0), "an older version stored this"
    again = DailyPartitionTimetable.deserialize(timetable.serialize())
    assert again.serialize() == timetable.serialize()
    assert keys(again, "2026-11-01", "2026-11-03") == keys(timetable, "2026-11-01", "2026-11-03")


def test_a_key_in_another_format_is_refused(timetable: DailyPartitionTimetable) -> None:
    with pytest.raises(ValueError, match="key_format"):
        timetable.resolve_partition_date("yesterday")


@pytest.mark.parametrize("key", ["0001-01-01", "1899-12-31", "2200-01-01", "9999-12-31"])
def test_a_key_of_a_year_without_partitions_is_refused_when_the_run_is_created(
    timetable: DailyPartitionTimetable, key: str
) -> None:
    with pytest.raises(InvalidPartitionKeyError, match="out of range: give a day of the years 1900 to 2199"):
        timetable.resolve_partition_date(key)


@pytest.mark.parametrize(("first", "last"), [("0001-01-01", "2026-01-01"), ("2026-01-01", "9999-12-31")])
def test_a_back_fill_of_thousands_of_years_is_refused(
    timetable: DailyPartitionTimetable, first: str, last: str
) -> None:
    with pytest.raises(InvalidBackfillDateRange, match=f"from {first} to {last} is out of range"):
        keys(timetable, first, last)


def next_run(timetable: DailyPartitionTimetable, last: tuple[str, str], now: str, patch: pytest.MonkeyPatch) -> str:
    """The run that is planned if the file is parsed ``now`` and the newest run has this day and this time."""
    key, run_after = last
    moment = pendulum.parse(now, tz=NEW_YORK)
    for module in ("airflow.timetables.trigger", "perennial.timetables.clock"):
        patch.setattr(f"{module}.utcnow", lambda: moment)
    before = DagRunInfo(
        run_after=pendulum.parse(run_after, tz=NEW_YORK).in_timezone("UTC"),  # type: ignore[union-attr]
        data_interval=None,
        partition_date=pendulum.instance(timetable.resolve_partition_date(key)),
        partition_key=key,
    )
    restriction = TimeRestriction(earliest=pendulum.datetime(2026, 1, 1), latest=None, catchup=False)
    info = timetable.next_dagrun_info_v2(last_dagrun_info=before, restriction=restriction)
    assert info is not None
    return f"{info.partition_key} at {info.run_after.in_timezone(NEW_YORK).isoformat()[:16]}"


@pytest.mark.parametrize(
    ("last", "now", "wanted"),
    [
        # back-filled before its tick (06:00): the tick of the previous day is not due again
        (("2026-05-09", "2026-05-09T00:00"), "2026-05-10T03:00", "2026-05-09 at 2026-05-10T06:00"),
        (("2026-05-10", "2026-05-10T00:00"), "2026-05-10T23:00", "2026-05-10 at 2026-05-11T06:00"),
        # its own tick is due: the day gets its scheduled run, because its labels may have changed since
        (("2026-05-09", "2026-05-09T00:00"), "2026-05-10T06:01", "2026-05-09 at 2026-05-10T06:00"),
        (("2026-05-09", "2026-05-10T06:00"), "2026-05-10T06:01", "2026-05-10 at 2026-05-11T06:00"),
        # older days back-filled, or nights without a run: the newest day that is over
        (("2026-03-01", "2026-03-01T00:00"), "2026-05-10T07:00", "2026-05-09 at 2026-05-10T06:00"),
        (("2026-05-06", "2026-05-07T06:00"), "2026-05-10T03:00", "2026-05-08 at 2026-05-09T06:00"),
    ],
)
def test_a_back_fill_before_the_tick_does_not_repeat_a_night(
    timetable: DailyPartitionTimetable,
    last: tuple[str, str],
    now: str,
    wanted: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert next_run(timetable, last, now, monkeypatch) == wanted


def test_a_broken_folder_gets_one_run_for_each_state() -> None:
    """Also after it was repaired in between: Airflow passes the newest run, whatever its state was."""
    restriction = TimeRestriction(earliest=pendulum.datetime(2025, 1, 1), latest=None, catchup=False)

    def due(state: str, last: DagRunInfo | None) -> DagRunInfo | None:
        timetable = BrokenFolderTimetable.deserialize(BrokenFolderTimetable(state).serialize())
        return timetable.next_dagrun_info_v2(last_dagrun_info=last, restriction=restriction)

    first = due("a", None)
    assert first is not None and first.partition_key == "a" and first.run_after <= pendulum.now("UTC")
    assert due("a", first) is None, "the next parse must not start another run"
    second = due("b", first)
    assert second is not None and second.partition_key == "b"
    assert due("b", second) is None
    again = due("a", second)
    assert again is not None and again.partition_key == "a"
    assert list(BrokenFolderTimetable("a").iter_partition_dagrun_infos(earliest=NIGHT, latest=NIGHT)) == []


def night_after(timetable: Any, now: str, last: str | None, patch: pytest.MonkeyPatch) -> str:
    """When the next scheduled run begins, if the file is parsed ``now`` and the newest scheduled run was ``last``."""
    moment = pendulum.parse(now, tz=NEW_YORK)
    for module in ("airflow.timetables.trigger", "perennial.timetables.clock"):
        patch.setattr(f"{module}.utcnow", lambda: moment)
    before = DataInterval.exact(pendulum.parse(last, tz=NEW_YORK)) if last else None
    restriction = TimeRestriction(earliest=pendulum.datetime(2025, 1, 1), latest=None, catchup=False)
    info = timetable.next_dagrun_info(last_automated_data_interval=before, restriction=restriction)
    return info.run_after.in_timezone(NEW_YORK).isoformat()[:16]


@pytest.mark.parametrize(
    ("now", "last", "wanted"),
    [
        ("2026-05-10T12:00", None, "2026-05-11T06:00"),  # a new model: tonight, not last night
        ("2026-05-10T06:02", None, "2026-05-10T06:00"),  # parsed again before the scheduler has created the run
        ("2026-05-10T12:00", "2026-05-10T06:00", "2026-05-11T06:00"),
        ("2026-05-10T12:00", "2026-05-07T06:00", "2026-05-10T06:00"),  # down for some nights: the newest one is made up
    ],
)
def test_the_first_night_of_a_model_is_the_next_one_and_no_later_one_is_lost(
    now: str, last: str | None, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    timetable = NightTimetable.deserialize(NightTimetable("0 6 * * *", timezone=NEW_YORK).serialize())
    assert isinstance(timetable, NightTimetable)
    assert night_after(timetable, now, last, monkeypatch) == wanted


def test_a_first_night_that_was_missed_is_made_up_for_once_the_model_was_trained(
    database: AirflowDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow was down at 6, also for longer than the grace: the scheduler has had no run of the DAG so far."""
    timetable = NightTimetable.deserialize(NightTimetable("0 6 * * *", timezone=NEW_YORK).of("toy_retrain").serialize())
    database.clear()
    database.add_dags(["toy_retrain", "other_retrain"])

    def began(run_id: str, at: str, state: str = "success", dag_id: str = "toy_retrain") -> None:
        moment = dt.datetime.fromisoformat(at).replace(tzinfo=ZoneInfo(NEW_YORK))
        database.add_run(dag_id, run_id, state, run_type="manual", run_after=moment)

    began("other", "2026-05-09T14:00", dag_id="other_retrain")
    began("failed", "2026-05-09T13:00", "failed")
    now, tonight, tomorrow = "2026-05-10T12:00", "2026-05-10T06:00", "2026-05-11T06:00"
    assert night_after(timetable, now, None, monkeypatch) == tomorrow, "it was never trained"
    began("first", "2026-05-09T14:00")
    assert night_after(timetable, now, None, monkeypatch) == tonight
    assert night_after(timetable, "2026-05-10T05:00", None, monkeypatch) == tonight
    assert night_after(timetable, now, tonight, monkeypatch) == tomorrow
    began("again", "2026-05-10T08:00")
    assert night_after(timetable, now, None, monkeypatch) == tomorrow, "a person has run it since"


def test_a_night_is_planned_although_the_runs_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow import settings

    monkeypatch.setattr(settings, "NonScopedSession", None, raising=False)
    timetable = NightTimetable("0 6 * * *", timezone=NEW_YORK).of("toy_retrain")
    assert night_after(timetable, "2026-05-10T12:00", None, monkeypatch) == "2026-05-11T06:00"


def test_the_timetables_of_two_models_share_their_words_and_not_their_runs() -> None:
    shared = NightTimetable("0 6 * * *", timezone=NEW_YORK)
    one, other = shared.of("one_retrain"), shared.of("other_retrain")
    assert (one.description, one.summary) == (other.description, other.summary)
    assert [each.serialize()["dag_id"] for each in (one, other, shared)] == ["one_retrain", "other_retrain", None]
    old = {name: value for name, value in shared.serialize().items() if name != "dag_id"}
    assert NightTimetable.deserialize(old).serialize()["dag_id"] is None, "an older version stored this"


def test_the_reason_for_a_timetable_of_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    stock = CronTriggerTimetable("0 6 * * *", timezone=NEW_YORK)
    assert night_after(stock, "2026-05-10T12:00", None, monkeypatch) == "2026-05-10T06:00", "before the model existed"


@pytest.mark.parametrize("zone", [NEW_YORK, "Europe/Berlin", "Australia/Lord_Howe", "UTC"])
@pytest.mark.parametrize("expression", ["30 1 * * *", "30 2 * * *", "0 3 * * *"])
def test_the_models_page_expects_a_night_when_airflow_begins_it(zone: str, expression: str) -> None:
    """Also on the days on which the clocks change: otherwise, the page would call a night missed, or not see it."""
    from include.overview.nights import Calendar

    calendar, timetable = Calendar(zone, expression), NightTimetable(expression, timezone=zone)
    tick = pendulum.datetime(2026, 1, 1, 12)
    for _ in range(365):
        tick = timetable._get_next(tick)
        assert calendar.due(tick.in_timezone(zone).date()) == tick, tick.in_timezone(zone)
