"""`make try-model`: one night of a model on its newest days, in a folder of its own, reported as Markdown."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

from include import catalog
from include.backtest.lab import Lab
from include.backtest.outcome import Night
from include.errors import ConfigurationError, DataError, ReleaseError
from include.gate.decision import Verdict
from include.partitions import partition
from include.progress import Progress
from include.sources import from_environment
from include.spec import Model

MOST_STOPPED = 5


def run(
    name: str,
    as_of: str | None = None,
    days: int | None = None,
    max_rows: int | None = None,
    root: Path | None = None,
    summary: Path | None = None,
) -> int:
    """Collect what one night needs, run it, print candidates, checks and verdict. 0 for any decision.

    Raises
    ------
    ConfigurationError, DataError, NotReady : no night is possible; names the remedy.
    ReleaseError : the gate decided promote, but the version could not be packaged.
    """
    model = catalog.load(name)
    connections = from_environment(model.data.connections)
    progress = Progress()
    with ExitStack() as stack:
        if root is None:
            root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=f"perennial-try-{name}-")))
        lab = Lab(model, root)
        last = partition(as_of, model.timezone) if as_of else partition(lab.newest(), model.timezone)
        wanted, window = _days(model, days)
        first = max(last.date - timedelta(days=wanted - 1), model.start)
        stopped: dict[str, str] = {}
        keys = lab.missing(first, last.date)
        with progress.bar(f"{name}: collect", len(keys)) as advance:
            for key, finding in lab.collect_days(keys, connections):
                if finding:
                    stopped[key] = finding
                advance(key)
        _warn(progress, name, stopped, len(keys), bool(lab.lake.published()))
        with progress.bar(f"{name}: one night about {last.key}", 1) as advance:
            night = lab.night(last.key, max_rows=max_rows, window_days=window)
            advance(night.challenger)
        text = report(night, stopped)
        problem = None
        if night.decision.verdict is Verdict.PROMOTE:
            try:
                release = lab.release(night)
                fitted = release.fitted
                text += (
                    f"\nIt can be packaged: refitted on {fitted.rows:,} rows ({fitted.first} to {fitted.last}), ONNX "
                    f"and scikit-learn agree within {release.proven.parity:.1e} (allowed {model.release.parity:g}).\n"
                )
            except ReleaseError as refused:
                problem = refused
                text += f"\n**It cannot be packaged:** {refused}\n"
    progress.say(text)
    if summary:
        with open(summary, "a") as file:
            file.write(text + "\n")
    if problem:
        raise problem
    return 0


def report(night: Night, stopped: dict[str, str]) -> str:
    """The night as Markdown: candidates, checks, verdict."""
    model, decision, holdout = night.model, night.decision, night.evaluation.holdout
    selection = night.plan.spans(night.challenger).selection
    lines = [
        f"## {model.name}: {decision.verdict.value} about {night.as_of}",
        "",
        night.table(),
        f"Selection {selection[0]} to {selection[1]}; holdout {holdout.first} to {holdout.last}, "
        f"{holdout.days} days with {holdout.rows:,} labelled rows, seen by none of the fits compared on it.",
        "",
        "| check | outcome | what |",
        "| --- | --- | --- |",
        *(f"| {c.name} | {c.result if c.passed else f'**{c.result}**'} | {c.sentence} |" for c in decision.checks),
        "",
        f"**{decision.verdict.value}**: {decision.reason}",
        *(f"\nNot published: {finding}" for finding in list(stopped.values())[:MOST_STOPPED]),
    ]
    return "\n".join(lines) + "\n"


def _days(model: Model, asked: int | None) -> tuple[int, int | None]:
    """Days to collect, and the training window if they are fewer than the model needs."""
    training = model.training
    if asked is None or asked >= training.days_needed:
        return asked or training.days_needed, None
    window = asked - training.selection_days - training.holdout_days
    if window < 1:
        raise ConfigurationError(
            f"--days {asked} leaves no day to train on: selection takes {training.selection_days} and the holdout "
            f"{training.holdout_days}. Give {training.selection_days + training.holdout_days + 1} or more."
        )
    return asked, min(window, training.window_days)


def _warn(progress: Progress, name: str, stopped: dict[str, str], collected: int, others: bool) -> None:
    if not stopped:
        return
    progress.say(f"warning: {len(stopped)} of {collected} days of {name} failed validation.")
    if not others:
        raise DataError(f"not one day of {name} could be published; the first: {next(iter(stopped.values()))}")
