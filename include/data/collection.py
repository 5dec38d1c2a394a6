"""The three steps of a collect run, as its tasks call them: fetch and keep, validate, publish. Each can be repeated."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd

from include import catalog, files
from include.data import quality
from include.data.lake import Lake, RawBatch
from include.data.report import render
from include.errors import DataError
from include.partitions import Partition, keys_between
from include.scoring import record
from include.settings import Settings
from include.spec import Model, Severity

log = logging.getLogger(__name__)


def collect(
    model: Model, partition: Partition, connections: Mapping[str, str], now: datetime, lake: Lake | None = None
) -> dict[str, Any]:
    """Fetch the partition from the model's source and keep the batch as it came.

    Parameters
    ----------
    lake : where to keep it (of this step and the next two); ``None``: the lake of this deployment.

    Returns
    -------
    dict : ``partition``, ``path``, ``digest``, ``rows``, and ``collected_at`` (``now``, ISO).

    Raises
    ------
    NotReady : the partition is not over at ``now``.
    DataError : the source returned something else than a DataFrame.
    """
    partition.require_over(now)
    lake = lake or Lake.of(model)
    lake.create()
    frame = catalog.module(model.name, "source").fetch(partition, connections)
    if not isinstance(frame, pd.DataFrame):
        raise DataError(
            f"fetch() of {model.name} returned {type(frame).__name__} for {partition.key}; it must return a DataFrame"
        )
    batch = lake.keep_raw(partition, frame)
    log.info(
        "Fetched %s of %s: %d rows with %d columns, kept as %s.",
        partition.key,
        model.name,
        batch.rows,
        frame.shape[1],
        lake.root / batch.path,
    )
    return {"partition": partition.key, **batch.as_dict(), "collected_at": now.astimezone(UTC).isoformat()}


def validate(model: Model, partition: Partition, raw: Mapping[str, Any], lake: Lake | None = None) -> dict[str, Any]:
    """Validate the raw batch, put bad rows into quarantine, stage the good ones, write the report.

    Parameters
    ----------
    raw : what `collect` returned.

    Returns
    -------
    dict : ``partition``, ``digest``, ``staged``, ``rows`` (good ones), ``quarantined``, ``warnings``, ``new_columns``,
        ``report``, ``collected_at``; paths are below the model's lake.

    Raises
    ------
    DataError : something critical was found; one line with every finding. Nothing is staged; the report and the
        quarantine are written.
    """
    lake = lake or Lake.of(model)
    batch = RawBatch(raw["path"], raw["digest"], raw["rows"])
    suite = catalog.module(model.name, "expectations").suite()
    found = quality.validate(model, partition, lake.read_raw(batch), suite, lake.undeclared())
    lake.quarantine(partition, found.quarantined, batch.digest)
    report = _write_report(lake, model, partition, found, batch)
    for check in found.failed:
        level = logging.INFO if check.severity is Severity.INFO else logging.WARNING
        log.log(level, "%s %s: %s.", partition.key, check.severity, check.finding)
    if found.critical:
        raise DataError(
            f"{model.name} {partition.key} was not published, {len(found.critical)} critical: "
            f"{'; '.join(found.critical)} (report: {lake.root / report})"
        )
    staged = lake.stage(partition, batch.digest, found.good)
    log.info(
        "%s of %s: %d of %d rows are good, %d are in quarantine, %d of %d checks failed, none critical; see %s.",
        partition.key,
        model.name,
        len(found.good),
        found.rows,
        len(found.quarantined),
        len(found.failed),
        len(found.checks),
        lake.root / report,
    )
    return {
        "partition": partition.key,
        "digest": batch.digest,
        "staged": staged,
        "rows": len(found.good),
        "quarantined": len(found.quarantined),
        "warnings": found.warnings,
        "new_columns": found.new_columns,
        "report": report,
        "collected_at": raw.get("collected_at"),
    }


def publish(
    model: Model,
    partition: Partition,
    validated: Mapping[str, Any],
    collected_at: datetime | str | None = None,
    lake: Lake | None = None,
) -> dict[str, Any]:
    """Replace the partition in the lake by the staged rows.

    Parameters
    ----------
    validated : what `validate` returned.
    collected_at : when the rows were fetched, by default the moment that `collect` noted. Whether labels were final is
        judged by it, so it must not be the time of a later retry.
    """
    moment = collected_at or validated.get("collected_at")
    if moment is None:
        raise DataError(
            f"publish of {model.name} {partition.key} was not told when its rows were fetched (collected_at)"
        )
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    lake = lake or Lake.of(model)
    rows = lake.read_staged(validated["staged"])
    version = lake.publish(partition, rows, validated["digest"], moment)
    log.info(
        "Published %s of %s: %d rows, version %d of the table, %d rows in quarantine.",
        partition.key,
        model.name,
        len(rows),
        version,
        validated["quarantined"],
    )
    return {"partition": partition.key, "rows": len(rows), "version": version, "quarantined": validated["quarantined"]}


def missing_partitions(model: Model, last: Partition, days: int) -> list[str]:
    """Keys of the ``days`` days up to ``last`` (included) that are not published, or were fetched before their labels
    were final; none before ``model.start``."""
    first = max(last.date - timedelta(days=days - 1), model.start)
    if first > last.date:
        return []
    there = Lake.of(model).published()
    keys = keys_between(first.isoformat(), last.key)
    return [key for key in keys if key not in there or not there[key].final(model, key)]


def rejected(model: Model, keys: Iterable[str]) -> list[str]:
    """Those of these partitions that were fetched and never published: their validation found something critical."""
    lake = Lake.of(model)
    there = lake.published()
    return [key for key in keys if key not in there and lake.has_raw(key)]


def load_predictions(model: Model) -> dict[str, Any]:
    """Load the closed spool segments of all servers of this model, and remove each once it is in the lake.

    Returns
    -------
    dict : ``segments``, ``rows`` that were added, ``rejected`` (lines that cannot be loaded) and, if there are any,
        ``kept`` (the files that they are kept in) and ``reason`` (of the first).
    """
    lake = Lake.of(model)
    lake.create()
    loaded = []
    for segment in record.closed_segments(Settings.from_environment().spool, model.name):
        loaded.append(lake.load_segment(segment.path, segment.app_id, segment.number))
        segment.path.unlink(missing_ok=True)
    bad = [one for one in loaded if one.rejected]
    rows, rejected = sum(one.rows for one in loaded), sum(one.rejected for one in bad)
    if loaded:
        log.info(
            "Loaded %d predictions of %s from %d spool segments; %d lines were rejected.",
            rows,
            model.name,
            len(loaded),
            rejected,
        )
    found: dict[str, Any] = {"segments": len(loaded), "rows": rows, "rejected": rejected}
    return found | ({"kept": [str(one.kept) for one in bad], "reason": bad[0].reason} if bad else {})


def loading_note(loaded: Mapping[str, Any]) -> str:
    """What `load_predictions` did, for the note of its run."""
    said = f"{loaded['rows']:,} predictions loaded from {loaded['segments']} spool segments."
    if not loaded["rejected"]:
        return said
    return (
        f"{said} **{loaded['rejected']:,} lines were rejected** ({loaded['reason']}). Nothing of them is lost: they "
        f"are kept with their reasons in {', '.join(loaded['kept'])}."
    )


def _write_report(lake: Lake, model: Model, partition: Partition, found: quality.Validation, batch: RawBatch) -> str:
    html = render(model, partition, found, batch).encode()
    summary = {**found.as_dict(), "batch": batch.as_dict(), "results": [c.as_dict() for c in found.checks]}
    path = f"validation/{partition.key}/{batch.digest}.html"
    files.write(lake.root / path, html)
    files.write(lake.root / path.replace(".html", ".json"), json.dumps(summary, indent=1).encode())
    files.write(lake.root / "validation" / partition.key / "latest.html", html)
    return path
