"""The data contract and the severities, on frames with one fault each, with the real Great Expectations."""

from __future__ import annotations

import json
import logging
from typing import Any

import great_expectations.expectations as gxe
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from include.data import quality, report
from include.data.lake import RawBatch
from include.errors import ConfigurationError
from include.partitions import Partition, partition
from include.spec import Column, ColumnType, Model
from tests.data.sensors import rows, small_model

BATCH = RawBatch(path="raw/x.parquet", digest="f" * 64, rows=20)


def heat(severity: str = "warning", **kwargs: object) -> gxe.ExpectColumnValuesToBeBetween:
    return gxe.ExpectColumnValuesToBeBetween(
        column="heat", min_value=-50, max_value=60, severity=severity, description="heat is -50 to 60 C", **kwargs
    )


def test_a_good_batch_passes_unchanged(model: Model, day: Partition) -> None:
    found = quality.validate(model, day, rows(day), [heat()])
    assert found.critical == [] and found.failed == [] and len(found.good) == 20 and found.quarantined.empty
    pd.testing.assert_frame_equal(found.good, rows(day), check_dtype=False)
    assert json.loads(json.dumps(found.as_dict()))["good"] == 20


def test_great_expectations_logs_nothing_in_a_task(
    model: Model, day: Partition, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    quality.validate(model, day, rows(day), [heat()])
    assert [record.getMessage() for record in caplog.records if record.name.startswith("great_expectations")] == []


def test_a_row_that_fails_a_warning_is_quarantined_with_all_its_failures(model: Model, day: Partition) -> None:
    frame = rows(day)
    frame.loc[[3, 11], "heat"] = [1048.0, -99.0]
    cold = gxe.ExpectColumnValuesToBeBetween(
        column="heat", max_value=1000, severity="warning", description="heat is not a typing error"
    )
    found = quality.validate(model, day, frame, [heat(), cold])
    assert found.critical == []
    assert found.good["number"].tolist() == [n for n in range(20) if n not in (3, 11)]
    assert found.quarantined["_expectation"].tolist() == [
        "heat is -50 to 60 C; heat is not a typing error",
        "heat is -50 to 60 C",
    ]
    assert found.quarantined["_column"].tolist() == ["heat", "heat"]
    row = json.loads(found.quarantined["_row"][0])
    assert row["heat"] == 1048 and row["at"] == (day.start + pd.Timedelta(minutes=3)).isoformat()
    assert json.loads(found.quarantined["_key"][0]) == {"sensor": "s0", "number": 3}
    assert found.warnings[0] == "heat is -50 to 60 C: 2 rows fail, e.g. 1048, -99"


def test_the_index_of_the_source_does_not_matter(model: Model, day: Partition) -> None:
    frame = rows(day)
    frame.loc[3, "heat"] = 1048.0
    frame.index = pd.Index(["same"] * 20)
    found = quality.validate(model, day, frame, [heat()])
    assert json.loads(found.quarantined["_key"][0])["number"] == 3 and len(found.good) == 19


def test_critical_rejects_the_day_and_info_is_only_reported(model: Model, day: Partition) -> None:
    frame = rows(day)
    frame.loc[3, "heat"] = 1048.0
    rejected = quality.validate(model, day, frame, [heat("critical")])
    assert rejected.critical == ["heat is -50 to 60 C: 1 rows fail, e.g. 1048"] and len(rejected.quarantined) == 1
    noted = quality.validate(model, day, frame, [heat("info")])
    assert noted.critical == [] and len(noted.good) == 20 and noted.warnings == rejected.critical


def test_a_warning_about_the_whole_table_is_reported(model: Model, day: Partition) -> None:
    count = gxe.ExpectTableRowCountToBeBetween(min_value=1000, severity="warning", description="1,000 rows a day")
    found = quality.validate(model, day, rows(day), [count])
    assert found.critical == [] and len(found.good) == 20 and found.warnings == ["1,000 rows a day: observed 20"]
    strict = gxe.ExpectTableRowCountToBeBetween(min_value=1000, severity="critical", description="1,000 rows a day")
    assert quality.validate(model, day, rows(day), [strict]).critical == ["1,000 rows a day: observed 20"]


def test_failing_rows_are_kept_while_mostly_holds(model: Model, day: Partition) -> None:
    frame = rows(day)
    frame.loc[3, "heat"] = 1048.0
    found = quality.validate(model, day, frame, [heat(mostly=0.9)])
    assert found.failed == [] and len(found.good) == 20


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda f: f.drop(columns=["heat", "on"]), "column 'heat', 'on' is missing"),
        (lambda f: f.assign(heat="warm"), "column 'heat' changed its type: it came as"),
        (lambda f: f.assign(heat=[*f.heat[:-1], "warm"]), "column 'heat' changed its type: its values are of mixed"),
        (lambda f: f.assign(number=f.number + 0.5), "column 'number' changed its type"),
        (lambda f: f.assign(at=f["at"].dt.tz_localize(None)), "column 'at' changed its type"),
        (lambda f: pd.concat([f, f[["heat"]]], axis=1), "column 'heat' comes more than once"),
        (lambda f: f.assign(_batch="x"), "column '_batch' has a name that is reserved for the lake"),
        (lambda f: f.iloc[:0], "the batch is empty: 0 rows"),
        (lambda f: f.iloc[:0].astype(object), "the batch is empty: 0 rows"),
        (lambda f: f.assign(number=0, sensor="s"), "the key (sensor, number) identifies one row: 20 rows fail"),
        (lambda f: f.assign(at=f["at"] + pd.Timedelta(days=1)), "at is within 2026-05-03 of America/New_York"),
    ],
)
def test_a_broken_contract_is_critical(model: Model, day: Partition, spoil: Any, sentence: str) -> None:
    found = quality.validate(model, day, spoil(rows(day)), [heat()])
    assert len(found.critical) == 1 and sentence in found.critical[0], found.critical
    assert "critical" in report.render(model, day, found, BATCH).lower()


def test_the_day_ends_at_local_midnight(model: Model) -> None:
    """The day of the clock change has 25 hours. Its last second belongs to the day, the next second does not."""
    day = partition("2026-11-01", model.timezone)
    frame = rows(day)
    frame.loc[0, "at"] = day.end - pd.Timedelta(seconds=1)
    assert quality.validate(model, day, frame, []).critical == []
    frame.loc[0, "at"] = pd.Timestamp(day.end)
    assert "1 rows fail" in quality.validate(model, day, frame, []).critical[0]


def test_a_single_column_key_is_checked_too(day: Partition) -> None:
    model = small_model(key=("number",))
    assert quality.validate(model, day, rows(day), []).critical == []
    assert "the key (number)" in quality.validate(model, day, rows(day).assign(number=1), []).critical[0]


def test_nulls_in_required_columns_are_quarantined(model: Model, day: Partition) -> None:
    frame = rows(day).astype({"number": "float64"})
    frame.loc[2, "sensor"] = None
    frame.loc[3, "number"] = np.nan
    frame.loc[4, "at"] = pd.NaT
    found = quality.validate(model, day, frame, [])
    assert found.critical == [] and len(found.good) == 17
    assert found.quarantined["_expectation"].tolist() == [
        "sensor has a value",
        "number has a value",
        "at has a value",
    ]


def test_too_many_bad_rows_are_critical(model: Model, day: Partition) -> None:
    frame = rows(day)
    frame.loc[:3, "heat"] = 1048.0  # 20 %, the most that is allowed
    assert quality.validate(model, day, frame, [heat()]).critical == []
    frame.loc[4, "heat"] = 1048.0
    found = quality.validate(model, day, frame, [heat()])
    assert found.critical[0].startswith("5 of 20 rows (25.0%) failed, and at most 20.0% may be quarantined")


def test_a_day_without_a_good_row_is_always_critical(day: Partition) -> None:
    model = small_model(max_quarantined=1.0)
    assert quality.validate(model, day, rows(day).assign(heat=1048.0), [heat()]).critical


def test_all_null_columns_are_fine_if_nulls_are_allowed(model: Model, day: Partition) -> None:
    found = quality.validate(model, day, rows(day).assign(heat=None, count=np.nan, on=pd.NA), [heat()])
    assert found.critical == [] and len(found.good) == 20 and found.good["heat"].isna().all()
    assert found.good.dtypes.astype(str)["heat"] == "float64"


def test_lossless_casts_are_reported(model: Model, day: Partition) -> None:
    frame = rows(day).assign(number=lambda f: f.number.astype(float), heat=lambda f: f.heat.fillna(0).astype(int))
    found = quality.validate(model, day, frame, [])
    assert found.critical == [] and found.good["number"].dtype == "int64" and found.good["heat"].dtype == "float64"
    assert found.warnings == [
        "column 'number' came as float64 and was stored as int64, without loss",
        "column 'heat' came as int64 and was stored as double, without loss",
    ]


def test_new_columns_are_kept_and_reported_until_the_lake_knows_them(model: Model, day: Partition) -> None:
    frame = rows(day).assign(colour="red", odd=[{"a": 1}] * 20)
    found = quality.validate(model, day, frame, [])
    assert found.critical == [] and found.new_columns == ["colour"] and found.good["colour"].eq("red").all()
    assert "odd" not in found.good and "'odd' was left out" in found.warnings[0]
    known = quality.validate(model, day, frame, [], {"colour": pa.large_string()})
    assert known.new_columns == [] and known.good["colour"].eq("red").all()
    retyped = quality.validate(model, day, frame, [], {"colour": pa.int64()})
    assert "column 'colour' changed its type" in retyped.critical[0]


def test_text_of_any_pandas_kind_is_text(model: Model, day: Partition) -> None:
    for kind in ("str", "object", "string", "category"):
        found = quality.validate(model, day, rows(day).astype({"sensor": kind}), [])
        assert found.critical == [] and found.warnings == [], kind


def test_an_expectation_that_cannot_be_evaluated_is_critical(model: Model, day: Partition) -> None:
    wrong = gxe.ExpectColumnValuesToBeBetween(column="heta", max_value=1, severity="info", description="heat is low")
    found = quality.validate(model, day, rows(day), [wrong, heat()])
    assert len(found.critical) == 1 and "could not be checked: heat is low" in found.critical[0]
    assert "heta" in found.critical[0]


def test_a_suite_of_other_objects_is_a_configuration_error(model: Model, day: Partition) -> None:
    with pytest.raises(ConfigurationError, match="suite\\(\\) of sensors returned 'str'"):
        quality.validate(model, day, rows(day), ["heat is low"])


def test_the_report_loads_nothing_and_escapes_values(model: Model, day: Partition) -> None:
    frame = rows(day)
    frame["sensor"] = "<script>alert(1)</script>"
    frame.loc[3, "heat"] = 1048.0
    page = report.render(model, day, quality.validate(model, day, frame, [heat()]), BATCH)
    assert "<script>alert" not in page and "&lt;script&gt;" in page
    assert "heat is -50 to 60 C" in page and "2026-05-03" in page and "prefers-color-scheme: dark" in page
    assert "http://" not in page and "https://" not in page and "src=" not in page


def test_a_declared_column_can_have_every_type(day: Partition) -> None:
    kinds = {c.type for c in small_model().data.columns}
    assert kinds == set(ColumnType), "the small model of these tests should have every type"
    columns = (*small_model().data.columns, Column(name="since", type=ColumnType.TIMESTAMP))
    frame = rows(day).assign(since=lambda f: f["at"].dt.tz_convert("Asia/Tokyo").dt.as_unit("ns"))
    found = quality.validate(small_model(columns=columns), day, frame, [])
    assert found.critical == [] and str(found.good["since"].dtype) == "datetime64[us, UTC]"
