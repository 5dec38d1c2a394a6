"""Writes the folder of a model and its test from what was found: completely or not at all, and without overwriting."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from include.authoring.findings import Findings, FoundColumn, Role
from include.authoring.names import free_name
from include.authoring.proposals import proposals
from include.errors import ConfigurationError
from include.partitions import in_time
from include.settings import PROJECT
from include.sources import CsvFile, ParquetFiles, SqlTable
from include.spec import ColumnType, Data, Task, Training
from include.spec.cron import time_of_day

FILES = ("model.py", "source.py", "expectations.py", "features.py", "candidates.py")
MODELS = PROJECT / "include" / "models"
LATER = ("30 5 * * *", "30 6 * * *")  # in time for every delay for which the default schedules are not
LONG = 95  # characters of a text beyond which it is written as several
SURE = 500  # rows after which a column that was never missing is declared so
MARGIN_SHARE = 0.05  # of the trivial baseline's error, that a challenger may be worse than the champion


def places(found_name: str, into: Path | None) -> tuple[Path, Path]:
    """The folder of the model, and its test file; outside of the project the test lies next to the model."""
    folder = (into or MODELS).expanduser().absolute() / found_name
    if folder.parent == MODELS:
        return folder, PROJECT / "tests" / "models" / found_name / f"test_{found_name}.py"
    return folder, folder / f"test_{found_name}.py"


def require_free(*paths: Path) -> None:
    """ConfigurationError if one of them exists: nothing is ever overwritten."""
    for path in paths:
        if path.exists():
            raise ConfigurationError(
                f"{path} exists already and is not overwritten: choose another NAME, or delete it first."
            )


def write(found: Findings) -> tuple[Path, Path]:
    """Render all files into a temporary folder next to the target, format them, and move them into place.

    Returns
    -------
    The model's folder and its test file.
    """
    folder, test = places(found.request.name, found.request.into)
    require_free(folder, *([test] if test.parent != folder else []))
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _temporary(folder.parent) as working:
        rendered = render(found)
        for file, text in rendered.items():
            (working / file).write_text(text)
        formatted(working)
        if test.parent != folder:
            test.parent.mkdir(parents=True, exist_ok=True)
            _move_file(working / "test.py", test)
        else:
            os.replace(working / "test.py", working / test.name)
        try:
            os.rename(working, folder)  # fails if the folder was created in the meantime
        except OSError:
            if test.parent != folder:
                test.unlink(missing_ok=True)
            raise ConfigurationError(f"{folder} was created in the meantime; nothing was written") from None
    return folder, test


def render(found: Findings) -> dict[str, str]:
    """The text of each file, not formatted yet."""
    loader = PackageLoader("include.authoring", "templates")
    environment = Environment(loader=loader, undefined=StrictUndefined, keep_trailing_newline=True)
    environment.filters["py"] = _literal
    environment.filters["comment"] = _comment
    environment.filters["doc"] = _docstring
    environment.filters["date"] = lambda day: f"date({day.year}, {day.month}, {day.day})"
    contents = _context(found)
    texts = {file: environment.get_template(f"{file}.j2").render(contents) for file in (*FILES, "test.py")}
    return {"__init__.py": f'"""{_docstring(_description(found))}"""\n', **texts}


def formatted(folder: Path) -> None:
    """As `make format` would; without ruff (a production image) the files stay as they were rendered."""
    config, ours = str(PROJECT / "pyproject.toml"), "lint.isort.known-first-party=['include']"
    for arguments in (["check", "--fix", "--select", "I", "--config", ours], ["format"]):
        command = [sys.executable, "-m", "ruff", *arguments, "--quiet", "--config", config, str(folder)]
        subprocess.run(command, check=False, capture_output=True)


def _context(found: Findings) -> dict[str, object]:
    request, r = found.request, found.rhythm
    assert r is not None
    regression = found.task is Task.REGRESSION
    taken = [c.name for c in found.columns]
    texts = [c.name for c in found.of(Role.FEATURE) if c.type is ColumnType.STRING]
    many = [c.name for c in found.of(Role.MANY)]
    target_encoder = bool(many) and not found.classes
    labels = found.rows[found.target].dropna()
    error = float(np.abs(labels - labels.median()).mean() if found.skewed else labels.std()) if regression else 0.0
    encoders = {"StandardScaler"} | ({"OrdinalEncoder", "OneHotEncoder"} if texts else set())
    encoders |= ({"TargetEncoder"} if target_encoder else {"OrdinalEncoder"}) if many else set()
    return {
        "name": request.name,
        "owner": request.owner,
        "description": _description(found),
        "timezone": request.timezone,
        "task": found.task.value,
        "regression": regression,
        "classes": found.classes,
        "positive": found.positive,
        "target": found.target,
        "time": found.time,
        "key": found.key,
        "row_number": found.row_number,
        "delay": round(request.delay.total_seconds()),
        "schedules": _schedules(request.delay),
        "keep": r.days_needed + r.second + 60 if r.days_needed + r.second > 340 else 0,
        "metric": ("mae" if found.skewed else "rmse") if regression else "log_loss",
        "margin": float(f"{MARGIN_SHARE * error:.2g}"),
        "margin_share": MARGIN_SHARE,
        "r": r,
        "rows": f"{len(found.rows):,}",
        **_of_columns(found),
        **_of_source(found),
        "proposed": proposals(found),
        "texts": tuple(texts),
        "many": tuple(many),
        "numbers": tuple(c.name for c in found.of(Role.FEATURE) if c.type is not ColumnType.STRING),
        "ages": _ages(found, taken, ColumnType.TIMESTAMP),
        "date_ages": _ages(found, taken, ColumnType.DATE),
        "hour": free_name("hour", taken),
        "weekday": free_name("weekday", taken),
        "whole_days": found.whole_days,
        "local": request.timezone != "UTC",
        "unused": [c for c in found.of(Role.UNUSED, Role.AFTER) if c.name != found.target],
        "no_feature": tuple(c.name for c in found.of(Role.UNUSED, Role.AFTER)),
        "suffix": "Regressor" if regression else "Classifier",
        "linear": "Ridge" if regression else "LogisticRegression",
        "linear_name": "ridge" if regression else "logistic",
        "linear_call": "Ridge(alpha=1.0)" if regression else "LogisticRegression(max_iter=300, C=0.1, random_state=0)",
        "strategy": ("median" if found.skewed else "mean") if regression else "prior",
        "skewed": found.skewed,
        "target_encoder": target_encoder,
        "target_type": "continuous" if regression else "binary",
        "encoders": sorted(encoders),
        "replayed": r.replay is not None,
    }


def _ages(found: Findings, taken: list[str], kind: ColumnType) -> dict[str, str]:
    """The feature of each time of this type: how many days before the event it was."""
    return {c.name: free_name(f"{c.name}_days_before", taken) for c in found.of(Role.AGE) if c.type is kind}


def _schedules(delay: timedelta) -> tuple[str, str] | None:
    """When to collect and to train, if labels become final between the default hours for both."""
    training = Training()
    assert training.schedule, "by default, a model is retrained every night"
    collects, trains = (time_of_day(s) for s in (Data.model_fields["schedule"].default, training.schedule))
    assert collects and trains, "the defaults tick once a day"
    return None if in_time(collects, trains, delay, training.wait_for_data) else LATER


def _of_columns(found: Findings) -> dict[str, object]:
    """Groups of declared columns for model.py; and which comment stands above them."""
    key = [c for c in found.columns if c.name in found.key or c.role is Role.EVENT_TIME]
    if found.row_number:
        key.append(FoundColumn(found.row_number, "", ColumnType.INTEGER, why="numbers the rows of a day"))
    features = [c for c in found.of(Role.FEATURE, Role.MANY, Role.AGE) if c.name not in found.key]
    unused = [c for c in found.of(Role.UNUSED) if c.name not in found.key]
    after = found.of(Role.AFTER, Role.TARGET)
    comments = {
        "KEY": "What identifies a row, and when it happened.",
        "FEATURES": "Known before the event.",
        "UNUSED": "In the lake, and no feature: see features.py.",
        "OUTCOME": 'Known only after the event: with known="after" a column can never be a feature.',
    }
    groups = {"KEY": key, "FEATURES": features, "UNUSED": unused, "OUTCOME": after}
    sure = len(found.rows) >= SURE
    declared = [
        (
            group,
            comments[group],
            [
                {
                    "name": c.name,
                    "type": c.type,
                    "nullable": not (group == "KEY" or (group == "FEATURES" and sure and not c.nulls)),
                    "after": group == "OUTCOME",
                    "description": _described(c),
                }
                for c in columns
            ],
        )
        for group, columns in groups.items()
    ]
    return {"groups": declared, "after": bool(after)}


def _described(column: FoundColumn) -> str:
    original = f"{column.original!r} in the source" if column.original and column.original != column.name else ""
    return "; ".join(part for part in (column.why, original) if part)


def _of_source(found: Findings) -> dict[str, object]:
    source = found.source
    in_project = absolute = False
    path = where = ""
    if isinstance(source, (CsvFile, ParquetFiles)):
        in_project = source.path.is_relative_to(PROJECT)
        absolute = not in_project
        inside = source.path.relative_to(PROJECT).parts if in_project else ()
        path = " / ".join(["PROJECT", *map(_literal, inside)]) if in_project else f"Path({_literal(str(source.path))})"
        where = f"the file {source.path.name}" if source.path.is_file() else f"the Parquet files in {source.path.name}"
    elif isinstance(source, SqlTable):
        where = f"the table {source.table} of the connection {source.connection}"
    return {
        "source": source,
        "kind": type(source).__name__,
        "connections": (source.connection,) if isinstance(source, SqlTable) else (),
        "path": path,
        "in_project": in_project,
        "absolute": absolute,
        "where": where,
        "names": {c.original: c.name for c in found.columns if c.name != c.original and c.role is not Role.LEFT_OUT},
        "formats": {
            c.name: c.format
            for c in found.columns
            if c.type is ColumnType.TIMESTAMP and c.name != found.time and c.format not in (None, "iso")
        },
        "missing": {c.name: c.missing for c in found.columns if c.missing and c.role is not Role.LEFT_OUT},
        "missing_texts": {
            c.name: c.missing for c in found.of(Role.FEATURE, Role.MANY) if c.missing and c.type is ColumnType.STRING
        },
        "number_formats": {c.name: c.numbers for c in found.columns if c.numbers},
        "spellings": {c.name: dict(c.spellings) for c in found.columns if c.spellings},
        "left_out": [c.original for c in found.of(Role.LEFT_OUT)],
    }


def _description(found: Findings) -> str:
    target = found.column(found.target).original
    if found.task is Task.REGRESSION:
        return f"Predicts {target} (regression), from what is known before {found.request.time}."
    if found.classes:
        return f"Predicts which of {len(found.classes)} classes {target} will be."
    return f"Predicts whether {target} will be {found.positive!r}."


def _literal(value: Any) -> str:
    """Python source of a plain value; ruff gives it its quotes."""
    if isinstance(value, date):
        return f"date({value.year}, {value.month}, {value.day})"
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, str) and len(value) > LONG:
        parts = textwrap.wrap(value, LONG, drop_whitespace=False, break_on_hyphens=False)
        return "(" + "\n".join(map(repr, parts)) + ")"
    return repr(value)


def _comment(text: str) -> str:
    """As lines of a comment."""
    return "\n".join(f"# {line}" for line in textwrap.wrap(text, 100))


def _docstring(text: str, indent: str = "") -> str:
    """Lines for the inside of a docstring, whatever characters its names and values have."""
    plain = text.replace("\\", "\\\\").replace('"', "'")
    return "\n".join(textwrap.wrap(plain, 114, subsequent_indent=indent, break_long_words=False))


@contextlib.contextmanager
def _temporary(parent: Path) -> Iterator[Path]:
    """A folder that is not taken for a model (its name begins with a dot), removed at the end unless it was moved."""
    working = Path(tempfile.mkdtemp(prefix=".new-model-", dir=parent))
    working.chmod(0o755)
    try:
        yield working
    finally:
        shutil.rmtree(working, ignore_errors=True)


def _move_file(source: Path, target: Path) -> None:
    """Move into another folder, possibly on another disk; never overwrites a file."""
    with open(target, "x") as sink:
        sink.write(source.read_text())
    source.unlink()
