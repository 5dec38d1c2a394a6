"""Back-tests of models with a known drift: releases of each policy, their scores, and reuse of finished work."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from include import catalog
from include.backtest import picture, pool, prequential, run, store
from include.backtest import report as written_report
from include.backtest.__main__ import main
from include.backtest.history import History
from include.backtest.lab import Lab
from include.errors import ConfigurationError, DataError, PerennialError
from include.partitions import keys_between, partition
from include.retraining import planning
from include.spec import Model
from tests.backtest import drifting as drifting_models

ROOT = Path(__file__).resolve().parents[2]
FIRST, LAST = "2026-01-16", "2026-03-03"
COLLECTED = "2026-01-03"
Report = dict[str, Any]


def replay(name: str, home: Path, **changed: Any) -> Report:
    """Run a back-test in this process, and return the report."""
    options = {"first": FIRST, "last": LAST, "every": 1, "workers": 2, **changed}
    assert run.run(name, home=home, **options) == 0
    return read(home)


def read(home: Path) -> Report:
    report: Report = json.loads((home / "report.json").read_text())
    return report


def command(home: Path, *arguments: str) -> list[str]:
    line = [sys.executable, "-m", "include.backtest", "run", "--model", "drifting_binary", "--first", FIRST]
    return [*line, "--home", str(home), *arguments]


@pytest.fixture(scope="module")
def model(drifting: Path) -> Model:
    return catalog.load(drifting_models.write(drifting))


@pytest.fixture(scope="module")
def home(
    model: Model, in_one_process: Callable[[], AbstractContextManager[None]], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The home of an uninterrupted back-test."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    with in_one_process():
        replay(model.name, folder)
    return folder


@pytest.fixture(scope="module")
def report(home: Path) -> Report:
    return read(home)


def rows_of(model: Model, first: str, last: str) -> pd.DataFrame:
    """Return the rows of the source, read without any other code of the project and without the rejected day."""
    source = catalog.module(model.name, "source")
    keys = [key for key in keys_between(first, last) if key != drifting_models.MISSING_DAY]
    return pd.concat([source.rows_of(partition(key, "UTC")).assign(partition=key) for key in keys], ignore_index=True)


def days_after(key: str, days: int) -> str:
    return (date.fromisoformat(key) + timedelta(days=days)).isoformat()


# -- policies and their figures


def test_each_policy_has_the_expected_releases(report: Report) -> None:
    releases = {name: policy["releases"] for name, policy in report["policies"].items()}
    nights = {night["as_of"]: night["verdict"] for night in report["nights"]}
    assert list(nights) == keys_between(FIRST, days_after(LAST, -1))
    promoted = [as_of for as_of, verdict in nights.items() if verdict == "promote"]
    first = promoted[0]
    assert first == FIRST
    assert releases["frozen"] == [first]
    assert releases["monthly"] == [first, days_after(FIRST, 30)]
    assert releases["nightly"] == promoted
    assert releases["ungated"] == [as_of for as_of, verdict in nights.items() if verdict != "no decision"]
    for night in report["nights"]:
        assert night["champion"] == max((p for p in promoted if p < night["as_of"]), default=None)
    assert {"promote", "reject", "hold"} <= set(nights.values())
    assert report["protocol"]["missing_days"] == [drifting_models.MISSING_DAY]


def test_the_known_drift_gives_the_known_order_of_the_policies(report: Report) -> None:
    loss = {name: policy["metrics"]["log_loss"] for name, policy in report["policies"].items()}
    assert loss["nightly"] + 0.2 < loss["monthly"] and loss["monthly"] + 0.2 < loss["frozen"]
    newest = report["days"][-1]["policies"]
    assert newest["frozen"]["roc_auc"] < 0.2, "the relationship has reversed, so the first model is now wrong"
    assert newest["nightly"]["roc_auc"] > 0.7


def test_no_day_is_ever_scored_by_a_model_that_has_seen_it(report: Report, home: Path) -> None:
    judged = [key for key in keys_between(days_after(FIRST, 1), LAST) if key != drifting_models.MISSING_DAY]
    assert [day["day"] for day in report["days"]] == judged
    for day in report["days"]:
        for policy, served in day["policies"].items():
            newest = max(a for a in report["policies"][policy]["releases"] if days_after(a, 1) <= day["day"])
            assert served["as_of"] == newest
            assert served["fitted_to"] <= served["as_of"] < day["day"]
            assert served["age"] == (date.fromisoformat(day["day"]) - date.fromisoformat(served["fitted_to"])).days
    judged_nights = [night for night in report["nights"] if night["verdict"] != "no decision"]
    assert [n["as_of"] for n in report["nights"] if n not in judged_nights] == [drifting_models.MISSING_DAY]
    for night in judged_nights:
        holdout = night["holdout"]
        for side in ("challenger", "baseline", "champion"):
            assert holdout[side] is None or holdout[side]["twin_last"] < holdout["first"]
    records = [json.loads(path.read_text()) for path in (home / "nights").glob("*/night.json")]
    assert len(records) == len(judged_nights)
    for record in records:
        assert record["release"]["last"] <= record["as_of"]
        assert record["twin"]["last"] <= days_after(record["as_of"], -4) < record["as_of"]
        assert all(result["last"] <= days_after(record["as_of"], -6) for result in record["results"])


@pytest.mark.parametrize("policy", ["frozen", "monthly", "nightly", "ungated"])
def test_the_metrics_equal_those_of_a_plain_loop_over_the_days(model: Model, report: Report, policy: str) -> None:
    """Recompute the metric: fit on eight days of the source, then score the days until the next fit."""
    releases = report["policies"][policy]["releases"]
    labels, scores = [], []
    for at, as_of in enumerate(releases):
        until = releases[at + 1] if at + 1 < len(releases) else LAST
        seen, unseen = rows_of(model, days_after(as_of, -7), as_of), rows_of(model, days_after(as_of, 1), until)
        fit = LogisticRegression().fit(seen[["a", "b"]].astype("float32"), seen["y"] == "yes")
        labels.append(unseen["y"] == "yes")
        scores.append(fit.predict_proba(unseen[["a", "b"]].astype("float32"))[:, 1])
    found = report["policies"][policy]
    assert found["rows"] == sum(map(len, labels))
    assert found["metrics"]["log_loss"] == pytest.approx(log_loss(np.concatenate(labels), np.concatenate(scores)), 1e-4)


def test_the_rolling_metric_covers_the_last_28_days(report: Report) -> None:
    days = report["days"]
    assert [day["policies"]["frozen"]["rolling"] for day in days[:6]] == [None] * 6
    for at in (6, 27, 40):
        window = [day for day in days[: at + 1] if day["day"] > days_after(days[at]["day"], -28)]
        rows = np.array([day["rows"] for day in window])
        loss = np.array([day["policies"]["frozen"]["log_loss"] for day in window])
        assert days[at]["policies"]["frozen"]["rolling"] == pytest.approx(float((rows * loss).sum() / rows.sum()))


@pytest.mark.parametrize(("hours", "lag"), [(0, 1), (6, 1), (23, 1), (24, 2), (36, 2), (48, 3)])
def test_a_model_serves_when_its_labels_are_final(model: Model, hours: int, lag: int) -> None:
    label = model.data.label.model_copy(update={"delay": timedelta(hours=hours)})
    late = model.model_copy(update={"data": model.data.model_copy(update={"label": label})})
    assert prequential.lag_days(late) == lag
    span = run.span_of(late, "2026-03-10", FIRST, LAST, 1)
    assert span.nights[-1] == days_after(LAST, -lag)
    day = days_after("2026-02-01", lag)
    assert prequential.in_service(["2026-01-20", "2026-02-01"], day, lag) == "2026-02-01"
    assert prequential.in_service(["2026-01-20", "2026-02-01"], days_after(day, -1), lag) == "2026-01-20"
    assert prequential.in_service(["2026-02-01"], days_after(day, -1), lag) is None


def test_a_history_gives_the_same_snapshots_as_the_lake(model: Model, home: Path) -> None:
    lake = Lab(model, home).lake
    history = History.freeze(lake, COLLECTED, LAST)
    for first, last in ((COLLECTED, LAST), ("2026-01-10", "2026-02-10"), ("2026-01-19", "2026-01-21")):
        real, mine = lake.snapshot(first, last), history.snapshot(first, last)
        assert (mine.digest, mine.rows) == (real.digest, real.rows)
        columns: list[list[str] | None] = [None, ["partition", "y"], ["id", "y"]]
        for wanted in columns:
            theirs = lake.read_snapshot(real, columns=wanted)
            pd.testing.assert_frame_equal(history.read_snapshot(mine, columns=wanted), theirs)
        assert set(history.read_snapshot(mine, "2025-01-01", "2027-01-01")["partition"]) <= set(
            keys_between(first, last)
        ), "a night never reads beyond its as-of"
    about = partition("2026-02-10", model.timezone)
    plans = [planning.take(model, about, {}, "", None, rows) for rows in (history, lake)]
    # The number of quarantined rows is only shown on cards, so a frozen history does not contain it.
    assert plans[0] == plans[1].replace(snapshot=plans[0].snapshot, quarantined=None)


@pytest.mark.usefixtures("without_workers_once")
@pytest.mark.parametrize("kind", ["regression", "classes"])
def test_other_kinds_of_label(drifting: Path, tmp_path: Path, kind: str) -> None:
    name = drifting_models.write(drifting, kind, margin=2.0)
    found = replay(name, tmp_path, last="2026-02-20", every=6)
    metric = found["metric"]
    value = {policy: about["metrics"][metric] for policy, about in found["policies"].items()}
    assert value["nightly"] < value["frozen"], "both metrics are losses: smaller is better"
    assert found["policies"]["monthly"]["releases"] == [FIRST, days_after(FIRST, 30)]
    assert [night["as_of"] for night in found["nights"]] == keys_between(FIRST, "2026-02-19")[::6]
    assert (tmp_path / "backtest.png").read_bytes().startswith(b"\x89PNG")
    assert "every 6 nights, with the gate" in (tmp_path / "report.md").read_text()


# -- reuse of finished work


@contextmanager
def no_fit(*_: Any) -> Iterator[Callable[[Any], Iterator[Any]]]:
    raise AssertionError("a night was about to be fitted again")
    yield


def files_of(home: Path) -> dict[str, int]:
    """Return the modification time of each file of the stored nights."""
    return {str(p.relative_to(home)): p.stat().st_mtime_ns for p in (home / "nights").rglob("*.skops")}


@pytest.mark.usefixtures("without_pictures")
def test_another_margin_gives_new_decisions_without_new_fits(
    drifting: Path, model: Model, home: Path, report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = tmp_path / "again"
    shutil.copytree(home, again)
    before = files_of(again)
    monkeypatch.setattr(pool, "fitting", no_fit)
    monkeypatch.setattr(pool, "collecting", no_fit)
    try:
        drifting_models.write(drifting, margin=5.0)
        lenient = replay(model.name, again)
        drifting_models.write(drifting, margin=1e-9)
        strict = replay(model.name, again)
    finally:
        drifting_models.write(drifting)
    assert files_of(again) == before
    count = {name: found["decisions"]["promote"] for name, found in (("5", lenient), (".02", report), ("0", strict))}
    assert count["0"] <= count[".02"] < count["5"]
    against = [night["reason"] for night in lenient["nights"] if night["verdict"] == "reject"]
    assert against and all("It is worse than guessing" in reason for reason in against)
    one_class = [night for night in lenient["nights"] if night["verdict"] == "refused"]
    assert one_class and all(drifting_models.ONE_CLASS_DAY in night["reason"] for night in one_class)
    assert {night["as_of"] for night in one_class} <= set(
        keys_between(drifting_models.ONE_CLASS_DAY, days_after(drifting_models.ONE_CLASS_DAY, 3))
    ), "a refit on that day is refused, regardless of the decision of the gate"
    assert lenient["policies"]["frozen"] == report["policies"]["frozen"]
    assert lenient["protocol"]["gate"]["margin"] == 5.0
    assert replay(model.name, again) == report, "the original margin reproduces the original report"


def test_everything_that_determines_a_fit_changes_its_key(drifting: Path, model: Model, home: Path) -> None:
    history = History.freeze(Lab(model, home).lake, COLLECTED, LAST)

    def key(of: Model, as_of: str = "2026-02-10", **params: Any) -> str:
        plan = planning.take(of, partition(as_of, "UTC"), params, "", None, history)
        return store.key_of(of, plan, store.code_digest(of))

    def changed(part: str, **values: Any) -> Model:
        return model.model_copy(update={part: getattr(model, part).model_copy(update=values)})

    mine = key(model)
    assert key(model) == mine
    for same in (changed("gate", margin=9.0), changed("training", schedule="0 9 * * *"), changed("data", keep=None)):
        assert key(same) == mine
    others = [key(model, "2026-02-11"), key(model, seed=3), key(model, window_days=7)]
    others += [key(changed("training", max_rows=100)), key(changed("training", metric="roc_auc"))]
    candidates = drifting / model.name / "candidates.py"
    text = candidates.read_text()
    try:
        candidates.write_text(text + "\n# a word\n")
        others.append(key(model))
    finally:
        candidates.write_text(text)
    assert mine not in others and len(set(others)) == len(others)


def test_a_killed_back_test_resumes(model: Model, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The back-test is killed during collection and again during fitting; its files equal those of a full run.

    The full run, of every third night, takes days and fits from `home`, which were made in one process.
    """
    full, again = tmp_path / "full", tmp_path / "killed"
    for folder in ("lake", "nights"):
        shutil.copytree(home / folder, full / folder)
    with monkeypatch.context() as patched:
        patched.setattr(pool, "fitting", no_fit)
        patched.setattr(pool, "collecting", no_fit)
        replay(model.name, full, last="2026-02-10", every=3)
    line = command(again, "--last", "2026-02-10", "--every", "3")
    lake = again / "lake" / "drifting_binary"
    killed_when([*line, "--workers", "1"], lambda: len(list(lake.glob("rows/partition=*"))) >= 5)
    there = {p.name for p in lake.glob("rows/partition=*")}
    killed_when([*line, "--workers", "1"], lambda: len(list((again / "nights").glob("2*"))) >= 3)
    assert there <= {p.name for p in lake.glob("rows/partition=*")} and not (again / "report.json").exists()
    before = files_of(again)
    assert len(before) >= 9
    done = subprocess.run([*line, "--workers", "2"], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert "nights are fitted already" in done.stdout
    assert before.items() <= files_of(again).items(), "stored fits are not repeated"
    for file in ("report.json", "report.md", "backtest.svg", "backtest.png"):
        assert (again / file).read_bytes() == (full / file).read_bytes(), file
    assert "\x1b" not in done.stdout and not done.stderr
    assert "9 nights, as of 2026-01-16 to 2026-02-09, every 3 days" in done.stdout
    assert (again / "report.md").read_text() in done.stdout


def killed_when(arguments: list[str], ready: Callable[[], bool]) -> None:
    """Start a command, kill it with SIGKILL once ``ready()`` is true, and wait until its workers have ended."""
    process = subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 600  # a busy machine
    while not ready():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    children = psutil.Process(process.pid).children(recursive=True)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs(children, timeout=30)
    assert not alive, "a worker was still running after its back-test had ended"


def test_a_killed_worker_is_reported(model: Model, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(home / "lake", tmp_path / "lake")
    kept = store.Store(tmp_path / "nights")
    history = History.freeze(Lab(model, tmp_path).lake, COLLECTED, LAST)
    plan = planning.take(model, partition("2026-02-10", "UTC"), {}, "", None, history)
    monkeypatch.setenv("DRIFTING_KILLS_ITS_WORKER", "1")
    with pytest.raises(PerennialError, match="--workers 1"), pool.fitting(model, history, kept, 1) as fit:
        list(fit([pool.Work(plan, "a" * 64)]))


# -- output, reports and pictures


def test_the_command_line_reports_errors_without_a_traceback(
    model: Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run_with(*arguments: str) -> tuple[int, str]:
        code = main(["run", "--home", str(tmp_path), *arguments])
        return code, capsys.readouterr().err

    code, error = run_with("--model", "drifting_binery")
    assert code == 1 and "did you mean 'drifting_binary'" in error and "Traceback" not in error
    code, error = run_with("--model", model.name, "--first", "2026-03-04", "--last", "2026-03-01")
    assert (code, error) == (1, "error: FIRST (2026-03-04) is after LAST (2026-03-01).\n")


def test_errors_name_a_valid_value(model: Model) -> None:
    def span(first: str | None, last: str | None, newest: str = "2026-03-10", every: int = 1) -> run.Span:
        return run.span_of(model, newest, first, last, every)

    with pytest.raises(DataError, match="The first as-of that can be trained is 2026-01-07"):
        span("2026-01-06", LAST)
    with pytest.raises(ConfigurationError, match="LAST can be at most 2026-03-10"):
        span(FIRST, "2026-03-11")
    with pytest.raises(ConfigurationError, match="YYYY-MM-DD"):
        span("yesterday", None)
    with pytest.raises(DataError, match=r"too little history: .* as-of 2026-01-14 .* serves from 2026-01-15,"):
        span(None, None, newest="2026-01-14")
    assert span(None, None).first == "2026-01-14" and span(None, None).collected == "2026-01-01"
    year = span(None, None, newest="2027-06-30")
    assert len(year.nights) == run.MOST_NIGHTS and year.nights[-1] == "2027-06-29"
    assert year.collected == days_after(year.first, -13)
    assert span(FIRST, LAST, every=7).nights == keys_between(FIRST, days_after(LAST, -1))[::7]
    with pytest.raises(ConfigurationError, match="every is 0"):
        run.run(model.name, FIRST, LAST, 0, None, Path("/nowhere"))


def test_without_a_champion_no_picture_is_drawn(drifting: Path, model: Model, home: Path, tmp_path: Path) -> None:
    for folder in ("lake", "nights"):
        shutil.copytree(home / folder, tmp_path / folder)
    file = drifting / model.name / "model.py"
    text = file.read_text()
    try:
        file.write_text(text.replace("min_rows=50, min_class", "min_rows=5000, min_class"))
        with pytest.raises(DataError, match=r"led to a champion.*at least 5000 are needed"):
            replay(model.name, tmp_path, last="2026-01-20")
    finally:
        file.write_text(text)
    found = read(tmp_path)
    assert found["decisions"]["hold"] == 4 and found["policies"] == {} and not (tmp_path / "backtest.svg").exists()


def test_the_picture_shows_every_decision_and_is_reproducible(report: Report, home: Path) -> None:
    found = written_report.Report.of(report)
    assert found.as_dict() == report and found.days[0].policies["frozen"].metrics["log_loss"] is not None
    assert picture.draw(found) == picture.draw(written_report.Report.of(json.loads(json.dumps(report))))
    assert (home / "backtest.svg").read_bytes() == picture.draw(found)["backtest.svg"]
    with picture.rc_context(picture.STYLE):
        top, gate, _ = picture._figure(found).axes
    marks = sum(np.asarray(drawn.get_offsets()).shape[0] for drawn in gate.collections)
    assert marks == len(report["nights"]) == sum(report["decisions"].values())
    legend = top.get_legend()
    assert legend is not None
    names = [text.get_text() for text in legend.get_texts()]
    for policy in report["policies"].values():
        assert any(name.startswith(f"{policy['metrics']['log_loss']:.4f}") for name in names)
    assert len(top.lines) == 4 and "log loss" in picture.sentence(found)
