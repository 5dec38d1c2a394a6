"""The task `gate`: the gate's decision, recorded in the ledger, in MLflow, in the log and in the note of the run."""

from __future__ import annotations

import json
import logging
import re
import textwrap
from collections.abc import Sequence

from include.cards.card import figure
from include.gate import decision
from include.gate.checks import Check
from include.gate.decision import Decision, Verdict
from include.gate.evaluation import Evaluation
from include.registry import mlflow_versions, tracking
from include.registry.ledger import Ledger
from include.retraining import evidence
from include.retraining.selection import Selection
from include.spec import Model
from include.training.plan import Plan

log = logging.getLogger(__name__)

ARTIFACT = "gate.json"
LONGEST_NOTE = 480
OUTCOMES = {Verdict.PROMOTE: "PASSED", Verdict.HOLD: "HELD", Verdict.REJECT: "REJECTED"}
WIDTH = 100
"""Characters of a line of the gate's log: what Airflow's page of a task shows without scrolling to the side."""
INDENT = " " * 8  # of the sentence below a check


class Decided(Decision):
    """The decision about a version; ``note`` is the outcome in one line."""

    version: int
    note: str


def decide(model: Model, plan: Plan, selection: Selection, evaluation: Evaluation, run_id: str) -> Decided:
    """`decision.decide`, recorded. Idempotent: the same run again replaces its decision."""
    outcome, version = decision.decide(model, evaluation), selection.version
    document = outcome.as_dict()
    Ledger.default().record_decision(
        model.name,
        run_id,
        as_of=plan.as_of,
        verdict=outcome.verdict.value,
        reason=outcome.reason,
        version=version,
        parameters=plan.parameters.as_dict(),
        code_digest=plan.code_digest,
        snapshot_digest=plan.snapshot.digest,
        checks=document["checks"],
        figures=evidence.figures(model, evaluation),
        evidence=evidence.evidence(plan, selection, evaluation),
    )
    artifact = {
        **document,
        "version": version,
        "evaluation": evaluation.as_dict(),
        "settings": model.gate.model_dump(mode="json"),
    }
    tracking.log_artifact_bytes(selection.mlflow_run_id, ARTIFACT, json.dumps(artifact, indent=1).encode())
    tracking.log(selection.mlflow_run_id, metrics=metrics(outcome.checks))
    tags = {"perennial.verdict": outcome.verdict.value, "perennial.reason": outcome.reason[:4000]}
    mlflow_versions.tag(model.name, version, tags)
    for line in table(outcome.checks):
        log.info("%s", line)
    for line in _wrapped(f"Version {version} of {model.name}: {outcome.verdict.value}. {outcome.reason}"):
        log.info("%s", line)
    return Decided(**dict(outcome), version=version, note=note(outcome, version, selection.candidate))


def metrics(checks: Sequence[Check]) -> dict[str, float]:
    """The checks that have numbers as metrics of MLflow: ``gate.not_worse_than_the_champion`` and its ``.limit``."""
    found = {}
    for check in checks:
        name = f"gate.{re.sub(r'[^A-Za-z0-9_.-]+', '_', check.name)}"
        for key, value in ((name, check.value), (f"{name}.limit", check.limit)):
            if isinstance(value, (int, float)):
                found[key] = float(value)
    return found


def table(checks: Sequence[Check]) -> list[str]:
    """The checks for the log, at most `WIDTH` wide, each with its sentence below it.

    Checks that reject come first, then those that hold, then those that passed.
    """
    order = ["REJECT", "HOLD", "passed"]
    rows = [(check, _cells(check)) for check in sorted(checks, key=lambda check: order.index(check.result))]
    head = ("result", "check", "value", "limit")
    wide = [max(len(cells[column]) for cells in (head, *(cells for _, cells in rows))) for column in range(4)]

    def aligned(cells: Sequence[str]) -> str:
        result, name, value, limit = cells
        return f"{result:<{wide[0]}}  {name:<{wide[1]}}  {value:>{wide[2]}}  {limit:>{wide[3]}}"

    lines = [aligned(head)]
    for check, cells in rows:
        lines += [aligned(cells), *_wrapped(check.sentence, INDENT)]
    return lines


def _cells(check: Check) -> tuple[str, str, str, str]:
    """Result, name, value and limit. Long ones are cut: the sentence has the whole text."""
    name, value, limit = (
        text if len(text) <= most else f"{text[: most - 1]}\N{HORIZONTAL ELLIPSIS}"
        for text, most in ((_one_line(check.name), 40), (figure(check.value), 22), (figure(check.limit), 22))
    )
    return check.result, name, value, limit


def _wrapped(text: str, indent: str = "") -> list[str]:
    """The text as lines of at most `WIDTH` characters; only a word that is longer makes a longer line."""
    return textwrap.wrap(
        _one_line(text),
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent or INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )


def note(decision: Decision, version: int, candidate: str) -> str:
    """The outcome in one line, for the run's note: ``REJECTED v7 (boosting): because ...``; a long one is cut at a
    word. ``PASSED``: the gate lets the version pass, and its release is still to come."""
    line = _one_line(f"{OUTCOMES[decision.verdict]} v{version} ({candidate}): {decision.reason}")
    if len(line) <= LONGEST_NOTE:
        return line
    more = " ... (all of it is in the log of `gate`)"
    return line[: LONGEST_NOTE - len(more)].rsplit(" ", 1)[0] + more


def _one_line(text: str) -> str:
    return " ".join(text.split())
