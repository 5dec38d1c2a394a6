"""`new-model` infers types, keys, identifiers, leaks and days; each test checks one of them."""

from __future__ import annotations

import dataclasses
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from include.authoring.dialects import dialect_of
from include.authoring.findings import Findings, Request, Role
from include.authoring.formats import time_format
from include.authoring.names import declared_names
from include.authoring.new import infer
from include.spec import ColumnType, Task

TODAY = date(2024, 6, 1)
RANDOM = np.random.default_rng(7)
DAYS, A_DAY = 50, 60
N = DAYS * A_DAY


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERENNIAL_HOME", str(tmp_path / "home"))


def base(**columns: Any) -> pd.DataFrame:
    at = pd.Timestamp("2023-01-02") + pd.to_timedelta(np.sort(RANDOM.integers(0, DAYS * 86_400, N)), unit="s")
    x = RANDOM.normal(size=N)
    frame = pd.DataFrame({"at": at, "x": x, "y": x + RANDOM.normal(size=N) > 0.3})
    return frame.assign(**columns)


def found(tmp_path: Path, frame: pd.DataFrame, format: str = "parquet", **changed: Any) -> Findings:
    path = tmp_path / f"table.{format}"
    if format == "parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False)
    return infer(dataclasses.replace(Request("orders_y", str(path), "y", "at"), **changed), TODAY)


def role(findings: Findings, name: str) -> Role:
    return findings.column(name).role


@pytest.mark.parametrize(
    ("values", "task", "positive", "classes"),
    [
        ([0, 1], Task.CLASSIFICATION, 1, None),
        ([True, False], Task.CLASSIFICATION, True, None),
        (["no", "yes"], Task.CLASSIFICATION, "yes", None),
        (["a", "a", "a", "rare"], Task.CLASSIFICATION, "rare", None),
        ([1.0, 0.0, None], Task.CLASSIFICATION, 1, None),
        (["b", "c", "a"], Task.CLASSIFICATION, 1, ("a", "b", "c")),
        ([1, 2, 3, 4, 5], Task.CLASSIFICATION, 1, (1, 2, 3, 4, 5)),
        (list(range(40)), Task.REGRESSION, 1, None),
        ([0.5, 1.25, 7.75], Task.REGRESSION, 1, None),
    ],
)
@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_the_task_follows_from_the_target(
    tmp_path: Path, format: str, values: list[Any], task: Task, positive: Any, classes: Any
) -> None:
    labels = pd.Series([values[n % len(values)] for n in range(N)])
    findings = found(tmp_path, base(y=labels), format)
    assert (findings.task, findings.classes) == (task, classes)
    if task is Task.CLASSIFICATION and classes is None:
        assert findings.positive == positive and type(findings.positive) is type(positive)


def test_types_of_texts(tmp_path: Path) -> None:
    frame = base(
        whole=RANDOM.integers(0, 9, N),
        zip=[f"{n % 700:05d}" for n in range(N)],
        paid=np.where(np.arange(N) % 3 == 0, "true", "false"),
        born=[f"{1 + n % 28:02d}.{1 + n % 12:02d}.19{50 + n % 50}" for n in range(N)],
        price=[f"{n % 90}.{n % 10}5" for n in range(N)],
    )
    findings = found(tmp_path, frame, "csv")
    kinds = {c.name: c.type for c in findings.columns}
    assert kinds["whole"] is ColumnType.INTEGER and kinds["price"] is ColumnType.NUMBER
    assert kinds["zip"] is ColumnType.STRING, "a leading zero makes it a code"
    assert kinds["paid"] is ColumnType.BOOLEAN
    assert kinds["born"] is ColumnType.TIMESTAMP and findings.column("born").format == "%d.%m.%Y"
    assert role(findings, "born") is Role.AGE


@pytest.mark.parametrize("format", ["parquet", "csv"])
def test_a_column_of_dates_is_declared_a_date(tmp_path: Path, format: str) -> None:
    days = base()["at"].dt.date
    early = [day - timedelta(days=int(n)) for day, n in zip(days, RANDOM.integers(0, 40, N), strict=True)]
    findings = found(tmp_path, base(at=base()["at"], day=days, early=early), format)
    assert [findings.column(n).type for n in ("day", "early", "at")] == [
        ColumnType.DATE,
        ColumnType.DATE,
        ColumnType.TIMESTAMP,
    ]
    assert role(findings, "early") is Role.AGE


def test_a_date_that_is_the_day_of_the_event_is_not_a_feature(tmp_path: Path) -> None:
    frame = base()
    findings = found(tmp_path, frame.assign(day=frame["at"].dt.strftime("%Y-%m-%d")))
    assert (findings.column("day").type, role(findings, "day")) == (ColumnType.DATE, Role.UNUSED)
    assert findings.column("day").why == "is the day of the event"


def test_a_line_separator_inside_a_text_does_not_end_a_csv_line(tmp_path: Path) -> None:
    path = tmp_path / "notes.csv"
    path.write_text("id;note;x\n" + "".join(f"{n};one\u2028two\x85three\x0bfour;{n}\n" for n in range(50)))
    assert dialect_of(path, "utf-8").separator == ";"


def test_identifiers_constants_and_free_text_are_not_features(tmp_path: Path) -> None:
    frame = base(
        uuid=[f"{n:032x}" for n in range(N)],
        counter=np.arange(N) * 3 + 100,
        account_no=RANDOM.permutation(N * 9)[:N],
        constant="DE",
        note=[f"please leave parcel {n} at the door" for n in range(N)],
        cents=RANDOM.permutation(N * 50)[:N],
        empty=None,
    )
    findings = found(tmp_path, frame)
    unused = ("uuid", "counter", "account_no", "constant", "note")
    assert {name: role(findings, name) for name in unused} == dict.fromkeys(unused, Role.UNUSED)
    assert role(findings, "empty") is Role.LEFT_OUT
    assert role(findings, "cents") is Role.FEATURE, "an amount may be unique by chance"
    assert findings.key in (("uuid",), ("counter",), ("account_no",))


def test_the_key_of_readings_is_sensor_and_time(tmp_path: Path) -> None:
    hours = pd.date_range("2023-01-02", periods=24 * DAYS, freq="h")
    at = hours.repeat(3)
    n = len(at)
    x = RANDOM.normal(size=n)
    frame = pd.DataFrame({"at": at, "sensor": ["a", "b", "c"] * len(hours), "x": x, "y": 3 * x + RANDOM.normal(size=n)})
    assert found(tmp_path, frame).key == ("at", "sensor")


def test_without_a_key_the_rows_of_a_day_are_numbered(tmp_path: Path) -> None:
    frame = base(at=lambda f: f["at"].dt.normalize())
    findings = found(tmp_path, frame)
    assert findings.key == ("at", "row_of_day") and findings.row_number == "row_of_day"


def test_a_strong_column_is_kept_and_a_copy_of_the_target_is_not(tmp_path: Path) -> None:
    frame = base()
    y = frame["y"].to_numpy()
    frame["strong"] = 2.6 * y + RANDOM.normal(size=N)
    frame["copy"] = np.where(y, "delivered late", "fine")
    frame["almost"] = np.where(RANDOM.random(N) < 0.01, ~y, y).astype(float) + RANDOM.normal(scale=0.1, size=N)
    frame["filled_when_true"] = np.where(y, RANDOM.normal(size=N), np.nan)
    findings = found(tmp_path, frame)
    assert role(findings, "strong") is Role.FEATURE
    assert any("strong is strong (ROC-AUC 0.9" in s for s in findings.said["Look at"])
    assert {role(findings, name) for name in ("copy", "almost", "filled_when_true")} == {Role.AFTER}
    assert "ROC-AUC 1.000" in findings.column("copy").why


def test_times_after_the_event_and_columns_filled_with_the_label(tmp_path: Path) -> None:
    frame = base()
    gone = RANDOM.random(N) < 0.1
    frame["y"] = frame["y"].astype(object).where(~gone, None)
    frame["closed_at"] = frame["at"] + pd.Timedelta(hours=5)
    frame["ordered_at"] = frame["at"] - pd.to_timedelta(RANDOM.integers(1, 90, N), unit="D")
    frame["minutes"] = pd.Series(RANDOM.normal(size=N)).where(~gone)
    frame["gappy"] = pd.Series(RANDOM.normal(size=N)).where(RANDOM.random(N) > 0.5)
    findings = found(tmp_path, frame)
    assert role(findings, "closed_at") is Role.AFTER and "after the event in 100%" in findings.column("closed_at").why
    assert role(findings, "ordered_at") is Role.AGE
    assert (
        role(findings, "minutes") is Role.AFTER and "filled only where the target is" in findings.column("minutes").why
    )
    assert role(findings, "gappy") is Role.FEATURE


def test_parts_of_a_sum_and_the_target_of_other_rows(tmp_path: Path) -> None:
    at = pd.date_range("2023-01-02", periods=24 * DAYS, freq="h")
    n = len(at)
    casual, registered = RANDOM.poisson(30, n), RANDOM.poisson(90, n)
    level = np.cumsum(RANDOM.normal(size=n))
    frame = pd.DataFrame({"at": at, "casual": casual, "registered": registered, "warm": RANDOM.normal(size=n)})
    findings = found(tmp_path, frame.assign(y=casual + registered))
    assert {role(findings, "casual"), role(findings, "registered")} == {Role.AFTER} and role(
        findings, "warm"
    ) is Role.FEATURE
    assert "casual and registered together give it" in findings.column("casual").why

    series = pd.Series(level.round(4))
    findings = found(tmp_path, frame.assign(y=series, before=series.shift(1), next=series.shift(-1)))
    assert role(findings, "next") is Role.AFTER and "target of the next row" in findings.column("next").why
    assert role(findings, "before") is Role.FEATURE, "the value before is known at the event, however strong it is"


def test_a_finished_history_is_replayed_and_a_fresh_one_is_not(tmp_path: Path) -> None:
    findings = found(tmp_path, base())
    assert findings.rhythm is not None and findings.rhythm.replay is not None
    r = findings.rhythm
    assert r.replay is not None and r.replay.cycle % 7 == 0 and r.days_needed <= r.replay.cycle
    assert r.second + r.selection + r.holdout <= r.replay.cycle, "a row must not appear twice in a night"
    assert r.start <= TODAY - timedelta(days=r.days_needed)
    fresh = base()
    fresh["at"] += pd.Timestamp(TODAY) - fresh["at"].max().normalize()
    findings = found(tmp_path, fresh)
    assert (
        findings.rhythm is not None
        and findings.rhythm.replay is None
        and findings.rhythm.start == findings.rhythm.first
    )


def test_wrong_dates_far_away_do_not_stretch_the_history(tmp_path: Path) -> None:
    frame = base()
    frame.loc[0, "at"], frame.loc[1, "at"] = pd.Timestamp("1900-01-01"), pd.Timestamp("2099-12-31")
    findings = found(tmp_path, frame)
    assert min(findings.counts) >= date(2023, 1, 2) and max(findings.counts) < date(2023, 3, 1)
    assert any("taken for wrong dates: 1900-01-01, 2099-12-31" in s for s in findings.said["Data"])


def test_days_without_rows_are_expected_if_the_table_has_some(tmp_path: Path) -> None:
    frame = base()
    findings = found(tmp_path, frame.loc[frame["at"].dt.dayofweek < 5])
    assert (
        findings.rhythm is not None
        and findings.rhythm.empty_days
        and findings.rhythm.gate_days < findings.rhythm.holdout
    )


def test_names_that_the_lake_cannot_hold_are_changed() -> None:
    assert declared_names(
        ["Größe (cm)", "price", "Price", "2nd", "partition", "_x", "% off", "価格", "a-b", "a b"]
    ) == {
        "Größe (cm)": "groesse_cm",
        "price": "price",
        "Price": "price_2",
        "2nd": "c_2nd",
        "partition": "partition_value",
        "_x": "x",
        "% off": "percent_off",
        "価格": "column",
        "a-b": "a_b",
        "a b": "a_b_2",
    }


@pytest.mark.parametrize(
    ("texts", "wanted"),
    [
        (["2023-05-03 14:00:00", "2023-05-04 15:30:00"], "iso"),
        (["2023-05-03T14:00:00Z", "2023-05-04T15:30:00+02:00"], "iso_offset"),
        (["2023-05-03", "2023-05-04"], "iso"),
        (["20230503", "20230504"], "%Y%m%d"),
        (["1683072000", "1683158400"], "epoch_s"),
        (["1683072000000", "1683158400000"], "epoch_ms"),
        (["30.04.2023 10:15", "01.05.2023 11:15"], "%d.%m.%Y %H:%M"),
        (["04/30/2023", "05/01/2023"], "%m/%d/%Y"),
        (["03/04/2023", "04/04/2023", "05/04/2023", "01/05/2023"], "%d/%m/%Y"),
        (["hello", "2023-05-04"], None),
        (["12.5", "13.5"], None),
    ],
)
def test_the_format_of_times_is_found(texts: list[str], wanted: str | None) -> None:
    import pyarrow as pa

    assert time_format(pa.array(texts)) == wanted
