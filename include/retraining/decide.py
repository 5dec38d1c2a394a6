"""Asks the gate and makes its answer known: to the ledger, to MLflow, in the log and in the note of the run."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any

from include.cards.card import figure
from include.gate import decision as gate
from include.gate.checks import Check
from include.gate.completeness import number
from include.registry import mlflow_versions, tracking
from include.registry.ledger import Ledger
from include.retraining import planning
from include.spec import Model

log = logging.getLogger(__name__)

ARTIFACT = "gate.json"
LONGEST_NOTE = 480
OUTCOMES = {"promote": "passed the gate", "hold": "held", "reject": "rejected"}
RESULTS = {True: "passed", False: "FAILED", None: "UNKNOWN"}


def decide(
    model: Model, plan: Mapping[str, Any], selected: Mapping[str, Any], evaluation: Mapping[str, Any], run_id: str
) -> dict[str, Any]:
    """`gate.decide`, recorded. Idempotent: the same run again replaces its decision.

    Returns
    -------
    ``verdict, reason, checks`` (`gate.Decision`), ``version`` and ``note`` (the outcome in one line).
    """
    decision = gate.decide(model, evaluation)
    version = int(selected["version"])
    told = decision.as_dict()
    Ledger.default().record_decision(
        model.name,
        run_id,
        as_of=plan["as_of"],
        verdict=decision.verdict.value,
        reason=decision.reason,
        version=version,
        parameters=planning.parameters(plan),
        code_digest=plan["code_digest"],
        snapshot_digest=plan["snapshot"]["digest"],
        checks=told["checks"],
    )
    artifact = {
        **told,
        "version": version,
        "evaluation": dict(evaluation),
        "settings": model.gate.model_dump(mode="json"),
    }
    tracking.log_artifact_bytes(selected["mlflow_run_id"], ARTIFACT, json.dumps(artifact, indent=1).encode())
    tracking.log(selected["mlflow_run_id"], metrics=metrics(decision.checks))
    mlflow_versions.tag(
        model.name, version, {"perennial.verdict": decision.verdict.value, "perennial.reason": decision.reason[:4000]}
    )
    for line in table(decision.checks):
        log.info("%s", line)
    log.info("Version %d of %s: %s. %s", version, model.name, decision.verdict.value, decision.reason)
    return {**told, "version": version, "note": note(decision, version, str(selected["candidate"]))}


def metrics(checks: Sequence[Check]) -> dict[str, float]:
    """The checks that have numbers as metrics of MLflow: ``gate.not_worse_than_the_champion`` and its ``.limit``."""
    found = {}
    for check in checks:
        name = f"gate.{re.sub(r'[^A-Za-z0-9_.-]+', '_', check.name)}"
        for key, value in ((name, number(check.value)), (f"{name}.limit", number(check.limit))):
            if value is not None:
                found[key] = value
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


def note(decision: gate.Decision, version: int, candidate: str) -> str:
    """The outcome in one line, for the run's note: ``rejected: version 7 (boosting). Because ...``; it is cut at a word
    where there is more to say than anybody reads there."""
    said = _one_line(f"{OUTCOMES[decision.verdict.value]}: version {version} ({candidate}). {decision.reason}")
    if len(said) <= LONGEST_NOTE:
        return said
    more = " ... (all of it is in the log of `gate`)"
    return said[: LONGEST_NOTE - len(more)].rsplit(" ", 1)[0] + more


def _one_line(text: str) -> str:
    return " ".join(text.split())
