"""The three steps of a collect run: fetch and keep, validate, publish. Each can be repeated."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import pandas as pd
from pydantic import AwareDatetime

from include import catalog, files
from include.data import days, quality
from include.data.lake import Lake, RawBatch
from include.data.report import render
from include.errors import DataError
from include.partitions import Partition, keys_between, shift
from include.records import PartitionKey, Record
from include.spec import Model, Severity

log = logging.getLogger(__name__)


class Collected(RawBatch):
    """The batch that `collect` fetched and kept, and the time."""

    partition: PartitionKey
    collected_at: AwareDatetime


class Validated(Record):
    """The result of `validate`, staged for `publish`; paths are below the model's lake.

    Attributes
    ----------
    digest : the digest of the raw batch.
    rows : number of good rows. ``quarantined`` : number of the others.
    warnings : findings that do not stop the partition.
    new_columns : undeclared columns that the lake does not have yet.
    """

    partition: PartitionKey
    digest: str
    staged: str
    rows: int
    quarantined: int
    warnings: tuple[str, ...]
    new_columns: tuple[str, ...]
    report: str
    collected_at: AwareDatetime


class Publication(Record):
    """A published partition: its rows, the version of the table with them, and the rows that went to quarantine."""

    partition: PartitionKey
    rows: int
    version: int
    quarantined: int


def collect(
    model: Model, partition: Partition, connections: Mapping[str, str], now: datetime, lake: Lake | None = None
) -> Collected:
    """Fetch the partition from the model's source and keep the batch unchanged.

    Parameters
    ----------
    lake : the lake of this step and the next two; ``None``: the lake of this deployment.

    Raises
    ------
    NotReady : the partition is not over at ``now``.
    DataError : the source did not return a DataFrame.
    """
    partition.require_over(now)
    lake = lake or Lake.of(model)
    lake.create()
    lake.begin(partition, now)
    try:
        frame = catalog.module(model.name, "source").fetch(partition, connections)
        return keep(model, partition, frame, now, lake)
    except Exception:
        lake.end(partition)
        raise


def keep(model: Model, partition: Partition, fetched: object, now: datetime, lake: Lake) -> Collected:
    """Keep what a source returned for a partition, as it came.

    Raises
    ------
    DataError : it is not a DataFrame.
    """
    if not isinstance(fetched, pd.DataFrame):
        raise DataError(
            f"fetch() of {model.name} returned {type(fetched).__name__} for {partition.key}; it must return a DataFrame"
        )
    batch = lake.keep_raw(partition, fetched)
    log.info(
        "Fetched %s of %s: %d rows with %d columns, kept as %s.",
        partition.key,
        model.name,
        batch.rows,
        fetched.shape[1],
        lake.root / batch.path,
    )
    return Collected(
        path=batch.path,
        digest=batch.digest,
        rows=batch.rows,
        partition=partition.key,
        collected_at=now.astimezone(UTC),
    )


def validate(
    model: Model, partition: Partition, raw: Collected, lake: Lake | None = None, run_id: str = ""
) -> Validated:
    """Validate the raw batch, put bad rows into quarantine, stage the good ones, write the report.

    Parameters
    ----------
    run_id : the run that rejects the day, for the record in the ledger.

    Raises
    ------
    DataError : something critical was found; one line with every finding. Nothing is staged; the report and the
        quarantine are written.
    """
    book = days.book(model, lake, run_id)
    lake = lake or Lake.of(model)
    suite = catalog.module(model.name, "expectations").suite()
    found = quality.validate(model, partition, lake.read_raw(raw), suite, lake.undeclared())
    book.expect([partition.key])
    lake.quarantine(partition, found.quarantined, raw.digest)
    report = write_report(lake, model, partition, found, raw)
    if found.critical:
        reason = "; ".join(found.critical)
        book.enter([days.rejected(model, partition.key, reason, len(found.quarantined), raw.digest)])
        lake.end(partition)
        raise DataError(f"{rejection(model, found)} (report: {lake.root / report})")
    staged = lake.stage(partition, raw.digest, found.table)
    log.info(
        "%s of %s: %d of %d rows are good, %d are in quarantine, %d of %d checks failed, none critical; see %s.",
        partition.key,
        model.name,
        found.table.num_rows,
        found.rows,
        len(found.quarantined),
        len(found.failed),
        len(found.checks),
        lake.root / report,
    )
    return Validated(
        partition=partition.key,
        digest=raw.digest,
        staged=staged,
        rows=found.table.num_rows,
        quarantined=len(found.quarantined),
        warnings=tuple(found.warnings),
        new_columns=tuple(found.new_columns),
        report=report,
        collected_at=raw.collected_at,
    )


def publish(
    model: Model,
    partition: Partition,
    validated: Validated,
    collected_at: datetime | None = None,
    lake: Lake | None = None,
    run_id: str = "",
) -> Publication:
    """Replace the partition in the lake by the staged rows.

    Parameters
    ----------
    collected_at : when the rows were fetched, by default the time that `collect` recorded. Whether labels were final is
        judged by it, so it must not be the time of a later retry.
    run_id : the run that publishes the day, for the record in the ledger.
    """
    book = days.book(model, lake, run_id)
    lake = lake or Lake.of(model)
    rows = lake.read_staged(validated.staged)
    book.expect([partition.key])
    version = lake.publish(partition, rows, validated.digest, collected_at or validated.collected_at)
    book.enter([days.published(model, partition.key, rows.num_rows, validated.quarantined, validated.digest)])
    lake.end(partition)
    log.info(
        "Published %s of %s: %d rows, version %d of the table, %d rows in quarantine.",
        partition.key,
        model.name,
        rows.num_rows,
        version,
        validated.quarantined,
    )
    return Publication(partition=partition.key, rows=rows.num_rows, version=version, quarantined=validated.quarantined)


def missing_partitions(model: Model, last: Partition, days: int) -> list[str]:
    """`missing`, of the ``days`` days up to ``last`` (included)."""
    return missing(model, shift(last, 1 - days, model.timezone), last)


def missing(model: Model, first: Partition, last: Partition, lake: Lake | None = None) -> list[str]:
    """Keys of the days between two (both included) that are not published, or were fetched before their labels were
    final; none before ``model.start``."""
    begin = max(first.date, model.start)
    if begin > last.date:
        return []
    there = (lake or Lake.of(model)).published()
    keys = keys_between(begin.isoformat(), last.key)
    return [key for key in keys if key not in there or not there[key].final(model, key)]


def fetched_since(model: Model, keys: Iterable[str], moment: datetime) -> list[str]:
    """Those of these partitions of which a batch was kept at or after a moment."""
    lake = Lake.of(model)
    return [key for key in keys if lake.has_raw(key, moment)]


def rejected(model: Model, keys: Iterable[str]) -> list[str]:
    """The partitions that were fetched but never published, because a critical check of their validation failed."""
    lake = Lake.of(model)
    there = lake.published()
    return [key for key in keys if key not in there and lake.has_raw(key)]


def rejection(model: Model, found: quality.Validation) -> str:
    """Why a partition was not published, with every critical finding."""
    return (
        f"{model.name} {found.partition} was not published, {len(found.critical)} critical: {'; '.join(found.critical)}"
    )


def write_report(lake: Lake, model: Model, partition: Partition, found: quality.Validation, batch: RawBatch) -> str:
    """Write what validation found as a page and as JSON, and log every finding; the path of the page below the lake."""
    html = render(model, partition, found, batch).encode()
    kept = {"path": batch.path, "digest": batch.digest, "rows": batch.rows}
    summary = {**found.as_dict(), "batch": kept, "results": [c.as_dict() for c in found.checks]}
    path = f"validation/{partition.key}/{batch.digest}.html"
    files.write(lake.root / path, html)
    files.write(lake.root / path.replace(".html", ".json"), json.dumps(summary).encode())
    files.write(lake.root / "validation" / partition.key / "latest.html", html)
    for check in found.failed:
        level = logging.INFO if check.severity is Severity.INFO else logging.WARNING
        log.log(level, "%s %s: %s.", partition.key, check.severity, check.finding)
    return path
