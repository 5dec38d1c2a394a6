"""The task `gate`: the gate's decision, recorded in the ledger, in MLflow, in the log and in the note of the run."""

from __future__ import annotations

import json
import logging
import re
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
OUTCOMES = {Verdict.PROMOTE: "passed the gate", Verdict.HOLD: "held", Verdict.REJECT: "rejected"}
RESULTS = {True: "passed", False: "FAILED", None: "UNKNOWN"}


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
    log.info("Version %d of %s: %s. %s", version, model.name, outcome.verdict.value, outcome.reason)
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
    """The checks as aligned lines for the log: what failed first, then what is unknown, then the others in order."""
    order = [False, None, True]
    lines = [("result", "check", "value", "limit", "in words")]
    lines += [
        (RESULTS[check.passed], check.name, figure(check.value), figure(check.limit), _one_line(check.sentence))
        for check in sorted(checks, key=lambda check: order.index(check.passed))
    ]
    wide = [max(len(line[column]) for line in lines) for column in range(4)]
    return [
        f"{result:<{wide[0]}}  {name:<{wide[1]}}  {value:>{wide[2]}}  {limit:>{wide[3]}}  {sentence}"
        for result, name, value, limit, sentence in lines
    ]


def note(decision: Decision, version: int, candidate: str) -> str:
    """The outcome in one line, for the run's note: ``rejected: version 7 (boosting). Because ...``; a long one is cut
    at a word."""
    line = _one_line(f"{OUTCOMES[decision.verdict]}: version {version} ({candidate}). {decision.reason}")
    if len(line) <= LONGEST_NOTE:
        return line
    more = " ... (all of it is in the log of `gate`)"
    return line[: LONGEST_NOTE - len(more)].rsplit(" ", 1)[0] + more


def _one_line(text: str) -> str:
    return " ".join(text.split())
