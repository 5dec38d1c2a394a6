"""Days monitored in a real home: replays, matching, performance, staleness, incidents; killed, repeated, corrected."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from include.backtest import damage
from include.data import monitoring, predictions, replays
from include.data.lake import Lake
from include.data.monitoring import Kind, Source
from include.data.predictions import Part
from include.data.segments import Accepted
from include.data.segments import read as read_segment
from include.errors import NotReady
from include.monitoring import run
from include.monitoring.run import Monitored
from include.partitions import earlier, keys_between, partition, utc_now
from include.registry import days as ledger_days
from include.registry.incidents import Incidents
from include.registry.ledger import Ledger
from include.registry.rows import DayRow
from include.scoring.record import Segment
from include.spec import Model
from include.statistics.results import State
from tests import homes
from tests.data.spooled import line, spool
from tests.monitoring import championed
from tests.monitoring.championed import CHAMPION, LAST, at, night_after, rows
from tests.training import toy_days

pytestmark = pytest.mark.slow


@pytest.fixture
def lake(home: homes.Home, toy: Model) -> Lake:
    return Lake.of(toy)


@pytest.fixture
def look(home: homes.Home, toy: Model) -> Callable[..., Monitored]:
    """Monitor a day in the night after it."""

    def at_night(key: str = LAST, later: timedelta = timedelta(0), run_id: str | None = None) -> Monitored:
        return run.monitor(toy, key, run_id or f"run-{key}", night_after(key, toy) + later)

    return at_night


def everything(lake: Lake) -> list[Any]:
    """All that the monitor has written to the lake."""
    scores = replays.read(lake, championed.FIRST, LAST).to_pandas().sort_values(["partition", "key"])
    return [monitoring.read(lake, championed.FIRST, LAST, profiles=True), scores.to_dict("records")]


def incidents() -> list[tuple[str, str, str]]:
    return [(one.kind, one.cause, one.state) for one in Incidents.default().of("toy")]


def test_the_newest_day_is_scored_measured_and_judged(look: Callable[..., Monitored], lake: Lake, toy: Model) -> None:
    found = look()
    assert found.newest and found.note.startswith(f"MONITORED {LAST}: ") and found.key == LAST
    day = [one for one in rows(lake, LAST, Kind.PERFORMANCE, "log_loss") if one.days == 1]
    (loss,) = day
    assert (loss.version, loss.source) == (1, Source.REPLAYED) and loss.promise is not None
    assert loss.result.value is not None and loss.baseline is not None and loss.result.value < loss.baseline
    (window,) = [one for one in rows(lake, LAST, Kind.PERFORMANCE, "log_loss") if one.days > 1 and not one.slice]
    assert window.days == 14 and window.low is not None and window.high is not None
    assert window.low < (window.result.value or 0) < window.high
    assert {one.slice for one in rows(lake, LAST, Kind.PERFORMANCE)} >= {"", "shop=Cork", "shop=(missing)"}
    (stale,) = rows(lake, LAST, Kind.STALENESS)
    assert stale.version == 1 and stale.result.known and stale.result.value is not None
    assert stale.low is not None and stale.high is not None and stale.result.high == pytest.approx(toy.gate.margin / 10)
    drift = rows(lake, LAST, Kind.DRIFT)
    known = {one.result.subject for one in drift if one.result.known}
    assert {"x", "z", "shop", "score", ""} <= known and {one.version for one in drift} == {1}
    counters = {one.result.measure: one.result for one in rows(lake, LAST, Kind.COUNTER)}
    assert counters["rows"].state is State.HEALTHY and counters["unmatched_predictions"].value == 0
    assert (counters["unlabelled_rows"].value or 0) > 0
    assert found.measures == len(drift) + len(rows(lake, LAST, Kind.COUNTER)) + 1
    assert found.action.reason and not found.action.retrain


def test_a_replay_gives_the_scores_of_the_server(look: Callable[..., Monitored], lake: Lake, toy: Model) -> None:
    from include.registry.bundles import BundleStore
    from include.scoring.predictor import Predictor
    from include.training.proving import _json_row

    look()
    kept = replays.read(lake, LAST, LAST).to_pandas().set_index("key")
    row = Ledger.default().version("toy", 1)
    assert row is not None and row.bundle is not None and set(kept["digest"]) == {row.bundle}
    predictor = Predictor.load(BundleStore.default().open("toy", row.bundle))
    frame = toy_days.day(toy, LAST).head(20)
    sent = [_json_row(toy, {str(name): value for name, value in one.items()}) for one in frame.to_dict("records")]
    answered = predictor.predict(sent, now=night_after(LAST, toy).timestamp()).scores
    assert answered is not None
    wanted = [kept.loc[f'{{"id": "{one}"}}', "score"] for one in frame["id"]]
    np.testing.assert_allclose(answered, wanted, rtol=0, atol=1e-7)


def test_a_second_look_changes_nothing(look: Callable[..., Monitored], lake: Lake) -> None:
    first = look()
    before, version = everything(lake), lake.table("replays").version()
    again = look()
    assert again.replace(again=first.again) == first and again.again == ()
    assert everything(lake) == before and lake.table("replays").version() == version, "a replay is not made twice"


def test_days_before_the_first_champion_are_replayed_with_it_and_marked(
    look: Callable[..., Monitored], lake: Lake
) -> None:
    between = "2026-04-27"
    assert CHAMPION < between < "2026-04-28"
    for key, early, fitted in ((CHAMPION, True, True), (between, True, False), ("2026-04-28", False, False)):
        found = look(key)
        kept = replays.read(lake, key, key).to_pandas()
        assert set(kept["early"]) == {early} and set(kept["fitted"]) == {fitted}, key
        (loss, *_) = rows(lake, key, Kind.PERFORMANCE, "log_loss")
        assert (loss.result.value is None) == fitted, "scores of days that the version was fitted on prove nothing"
        assert not found.newest and found.opened == () and not found.retrain
    (loss, *_) = rows(lake, CHAMPION, Kind.PERFORMANCE, "log_loss")
    assert "was fitted on it" in loss.result.sentence
    score = [one for one in rows(lake, CHAMPION, Kind.DRIFT) if one.result.subject == "score"]
    assert score and not any(one.result.known for one in score)


def test_nothing_served(look: Callable[..., Monitored], lake: Lake, home: homes.Home) -> None:
    Ledger.default().withdraw("toy", 1, "ada", "out", "a test")
    at(home, "withdraw", night_after("2026-05-10", lake.model))
    look("2026-05-12")
    assert replays.read(lake, "2026-05-12", "2026-05-12").num_rows == 0
    (loss, *_) = rows(lake, "2026-05-12", Kind.PERFORMANCE, "log_loss")
    assert loss.result.value is None and "nothing served toy when 2026-05-12 began" in loss.result.sentence
    (stale,) = rows(lake, "2026-05-12", Kind.STALENESS)
    assert stale.result.state is State.UNKNOWN and stale.result.value is None


# -- live predictions


def predicted(lake: Lake, folder: Any, frame: pd.DataFrame, score: float, number: int = 1, **more: Any) -> None:
    """Put live predictions of these rows into the lake, made an hour before the event."""
    lines = []
    for at_row, (name, event) in enumerate(zip(frame["id"], frame["at"], strict=True)):
        moments = {"event_time": event.isoformat(), "predicted_at": (event - timedelta(hours=1)).isoformat()}
        told = {"key": {"id": name}, "row": at_row, "version": 7, "score": score, "features": {"id": name}}
        lines.append(line(at_row, **(told | moments | more)))
    segment = Segment("one/toy", number, spool(folder, number, lines, model="toy"))
    content = read_segment(segment, Accepted.of(lake.model, utc_now()))
    assert not content.rejected
    predictions.append(lake, [Part(segment.app_id, segment.number, content.rows)])


def test_live_predictions_take_precedence_and_those_without_a_row_are_counted(
    look: Callable[..., Monitored], lake: Lake, toy: Model, tmp_path: Any
) -> None:
    frame = toy_days.day(toy, LAST).head(30)
    stranger = frame.head(2).assign(id=["nobody-1", "nobody-2"])
    predicted(lake, tmp_path / "spool", pd.concat([frame, stranger]), 0.5)
    before = (partition(LAST, "UTC").start - timedelta(days=1)).isoformat()
    predicted(lake, tmp_path / "spool", frame.head(3), 0.9, number=2, request_id="earlier", predicted_at=before)
    look()
    groups = {one.source: one for one in rows(lake, LAST, Kind.PERFORMANCE, "log_loss") if one.days == 1}
    labelled = int(frame["late"].notna().sum())
    assert groups[Source.LIVE].rows == labelled and groups[Source.LIVE].version == 7
    assert groups[Source.LIVE].result.value == pytest.approx(np.log(2)), "the last one before the event counts"
    assert groups[Source.LIVE].promise is None and groups[Source.REPLAYED].version == 1
    assert groups[None].rows == groups[Source.LIVE].rows + groups[Source.REPLAYED].rows and groups[None].version is None
    counters = {one.result.measure: one.result.value for one in rows(lake, LAST, Kind.COUNTER)}
    assert (counters["unmatched_predictions"], counters["doubled_predictions"]) == (2, 3)


def test_predictions_that_are_loaded_after_a_day_was_measured_let_it_be_measured_again(
    look: Callable[..., Monitored], lake: Lake, toy: Model, tmp_path: Any
) -> None:
    for key in ("2026-05-11", "2026-05-12", "2026-05-13"):
        look(key)
    predicted(lake, tmp_path / "spool", toy_days.day(toy, "2026-05-12"), 0.5)
    assert look().again == ("2026-05-12", "2026-05-13"), "the day, and the day whose window has it"
    (loss,) = [one for one in rows(lake, "2026-05-12", Kind.PERFORMANCE, "log_loss") if one.days == 1]
    assert loss.source is Source.LIVE and loss.result.value == pytest.approx(np.log(2))
    (window,) = [
        one for one in rows(lake, "2026-05-13", Kind.PERFORMANCE, "log_loss") if one.days > 1 and not one.slice
    ]
    assert window.source is None, "of some days the server's, of the others the replay"
    settled = everything(lake)
    assert look(later=timedelta(minutes=1)).again == () and everything(lake) == settled
    predicted(lake, tmp_path / "spool", toy_days.day(toy, LAST), 0.5, number=2)
    assert look(later=timedelta(minutes=2)).again == (), "the newest day is measured anyway"


# -- late, missing, doubled and corrected labels


def test_labels_that_were_not_final_are_measured_once_they_are(
    look: Callable[..., Monitored], lake: Lake, toy: Model
) -> None:
    frame = toy_days.day(toy, "2026-05-12")
    toy_days.publish(lake, toy, "2026-05-12", frame, after=timedelta(hours=-2))
    look("2026-05-12")
    (loss, *_) = rows(lake, "2026-05-12", Kind.PERFORMANCE, "log_loss")
    assert loss.result.value is None and "not final" in loss.result.sentence
    toy_days.publish(lake, toy, "2026-05-12", frame)  # the same rows, fetched again when they were final
    assert "2026-05-12" in look().again
    (loss, *_) = rows(lake, "2026-05-12", Kind.PERFORMANCE, "log_loss")
    assert loss.result.value is not None


def test_a_corrected_day_is_scored_and_measured_again_and_its_windows_with_it(
    look: Callable[..., Monitored], lake: Lake, toy: Model
) -> None:
    for key in ("2026-05-11", "2026-05-12", "2026-05-13"):
        look(key)
    before = {
        key: rows(lake, key, Kind.PERFORMANCE, "log_loss")[0].result.value for key in ("2026-05-11", "2026-05-12")
    }
    frame = toy_days.day(toy, "2026-05-12")
    frame["late"] = (1 - frame["late"]).astype("Int64")
    frame["x"] = frame["x"] + 0.5
    toy_days.publish(lake, toy, "2026-05-12", frame)
    found = look()
    assert found.again == ("2026-05-12", "2026-05-13"), "the day, and the day whose window has it"
    after = {key: rows(lake, key, Kind.PERFORMANCE, "log_loss")[0].result.value for key in ("2026-05-11", "2026-05-12")}
    assert after["2026-05-11"] == before["2026-05-11"]
    assert (after["2026-05-12"] or 0) > 1.3 * (before["2026-05-12"] or 0), "the labels are turned round"
    settled = everything(lake)
    assert look(later=timedelta(minutes=1)).again == () and everything(lake) == settled


def test_a_day_that_was_left_out_is_made_up_for(look: Callable[..., Monitored], lake: Lake) -> None:
    look("2026-05-11")
    assert look("2026-05-14").again == ("2026-05-12", "2026-05-13")


def test_a_day_without_labels_and_with_doubled_keys(look: Callable[..., Monitored], lake: Lake, toy: Model) -> None:
    frame = toy_days.day(toy, LAST)
    doubled = pd.concat([frame, frame.head(4)], ignore_index=True)
    toy_days.publish(lake, toy, LAST, doubled.assign(late=pd.array([None] * len(doubled), dtype="Int64")))
    look()
    (loss, *_) = rows(lake, LAST, Kind.PERFORMANCE, "log_loss")
    assert loss.result.value is None and loss.result.state is State.UNKNOWN
    counters = {one.result.measure: one.result for one in rows(lake, LAST, Kind.COUNTER)}
    assert counters["unlabelled_rows"].value == len(doubled) and counters["duplicates"].violated
    assert replays.read(lake, LAST, LAST).num_rows == len(doubled)


# -- incidents


def damaged(lake: Lake, toy: Model, key: str = LAST) -> None:
    """Let most values of an input be missing on a day."""
    frame = toy_days.day(toy, key)
    frame.loc[frame.index[5:], "x"] = np.nan
    toy_days.publish(lake, toy, key, frame)


def test_damage_opens_one_incident_and_its_repair_closes_it(
    look: Callable[..., Monitored], lake: Lake, toy: Model
) -> None:
    damaged(lake, toy)
    found = look()
    assert len(found.opened) == 1 and ("data", "missing", "open") in incidents()
    assert look(later=timedelta(hours=1)).opened == () and not found.retrain
    toy_days.publish(lake, toy, LAST, toy_days.day(toy, LAST))
    assert look(later=timedelta(hours=2)).closed == found.opened
    assert incidents() == [("data", "missing", "closed")]


def test_a_look_at_an_older_day_writes_the_table_and_no_incident(
    look: Callable[..., Monitored], lake: Lake, toy: Model
) -> None:
    damaged(lake, toy, "2026-05-10")
    found = look("2026-05-10")
    assert not found.newest and found.violated and found.opened == () and incidents() == []
    assert rows(lake, "2026-05-10", Kind.COUNTER)
    damaged(lake, toy)
    assert len(look().opened) == 1
    assert look("2026-05-11").closed == () and incidents() == [("data", "missing", "open")]


def test_a_rejected_day_has_counters_and_an_incident(look: Callable[..., Monitored], lake: Lake, toy: Model) -> None:
    key = earlier(LAST, -1)
    with pytest.raises(NotReady, match=f"partition {key} of toy is not published"):
        look(key)
    ledger_days.Days.default().record([DayRow("toy", key, "rejected", None, 12, "no column x", "b" * 64)])
    found = look(key)
    assert found.newest and found.opened and ("data", "rejected_day", "open") in incidents()
    assert rows(lake, key, Kind.COUNTER) and found.rows == 0


# -- known damage


@pytest.mark.parametrize(("kind", "cause"), [("units changed", "out_of_range"), ("inputs missing", "missing")])
def test_known_damage_of_the_newest_day_is_one_data_incident_and_no_drift(
    look: Callable[..., Monitored], lake: Lake, toy: Model, kind: str, cause: str
) -> None:
    frame = toy_days.days(toy, LAST, LAST)
    worse = damage.KINDS[kind].apply(toy, frame, np.random.default_rng(1)).drop(columns="partition")
    toy_days.publish(lake, toy, LAST, worse)
    found = look()
    assert {one[:2] for one in incidents()} == {("data", cause)} and len(found.opened) == 1 and not found.retrain
    (state,) = {one.result.state for one in rows(lake, LAST, Kind.DRIFT) if one.result.subject == "score"}
    assert state is State.UNKNOWN, "the scores of damaged rows show nothing about the world"


def test_inverted_labels_are_a_data_incident_once_no_fit_is_better_than_the_baseline(
    look: Callable[..., Monitored], lake: Lake, toy: Model
) -> None:
    """They are seen in no input. The twin of the newer version is newer than the champion, so there is a pair."""
    rng = np.random.default_rng(1)
    for key in keys_between(earlier(LAST, 11), LAST):
        frame = damage.KINDS["labels inverted"].apply(toy, toy_days.days(toy, key, key), rng)
        toy_days.publish(lake, toy, key, frame.drop(columns="partition"))
    found = look()
    assert {one[:2] for one in incidents()} == {("data", "worse_than_baseline")} and not found.retrain
    assert any("worse than the trivial baseline" in one for one in found.lines)


# -- killed and repeated, and two at once


class Killed(BaseException):
    """The process ended here."""


def kill_after(patch: pytest.MonkeyPatch, where: Any, name: str, times: int) -> None:
    """Let the process end right after a write was done for the nth time."""
    original, done = getattr(where, name), []

    def writes(*arguments: Any, **more: Any) -> Any:
        written = original(*arguments, **more)
        done.append(name)
        if len(done) == times:
            raise Killed
        return written

    patch.setattr(where, name, writes)


WRITES = [(replays, "write", 1), (replays, "write", 2), (monitoring, "write", 1), (monitoring, "write", 2)]


@pytest.mark.parametrize(("where", "name", "times"), WRITES, ids=["a replay", "both", "a day again", "the day"])
def test_a_monitor_that_is_killed_between_writes_and_repeated_ends_in_the_same_tables(
    look: Callable[..., Monitored], lake: Lake, toy: Model, where: Any, name: str, times: int, expected: Any
) -> None:
    prepare(look, lake, toy)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        kill_after(patch, where, name, times)
        look()
    look(later=timedelta(minutes=5))
    assert everything(lake) == expected[0] and incidents() == expected[1]


def test_a_monitor_that_is_killed_after_its_incidents_opens_them_once(
    look: Callable[..., Monitored], lake: Lake, toy: Model, expected: Any
) -> None:
    prepare(look, lake, toy)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        kill_after(patch, Incidents, "observe", 1)
        look()
    assert look(later=timedelta(minutes=5)).opened == ()
    assert everything(lake) == expected[0] and incidents() == expected[1]


def test_two_monitors_at_once(look: Callable[..., Monitored], lake: Lake, toy: Model, expected: Any) -> None:
    prepare(look, lake, toy)
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda run_id: look(run_id=run_id), ("one", "two")))
    assert sorted(len(one.opened) for one in found) == [0, 1]
    assert everything(lake) == expected[0] and incidents() == expected[1]


def prepare(look: Callable[..., Monitored], lake: Lake, toy: Model) -> None:
    """A day that was measured and then corrected, and a damaged newest day."""
    look("2026-05-13")
    frame = toy_days.day(toy, "2026-05-13")
    toy_days.publish(lake, toy, "2026-05-13", frame.assign(z=frame["z"] + 0.01))
    damaged(lake, toy)


@pytest.fixture(scope="module")
def expected(template: homes.Home, toy: Model, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What an undisturbed monitor ends in."""
    copy = template.copy(tmp_path_factory.mktemp("undisturbed") / "home")
    with pytest.MonkeyPatch.context() as patch:
        copy.enter(patch)
        lake = Lake.of(toy)

        def look(key: str = LAST) -> Monitored:
            return run.monitor(toy, key, f"run-{key}", night_after(key, toy))

        prepare(look, lake, toy)
        assert look().again == ("2026-05-13",)
        return everything(lake), incidents()
