"""Asks the gate and makes its answer known: to the ledger, and to MLflow."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

from include.registry import tracking
from include.registry.ledger import Ledger
from include.spec import Model
from include.training import gate, snapshot

log = logging.getLogger(__name__)

ARTIFACT = "gate.json"


def decide(
    model: Model, plan: Mapping[str, Any], selected: Mapping[str, Any], evaluation: Mapping[str, Any], run_id: str
) -> dict[str, Any]:
    """`gate.decide`, recorded. Idempotent: the same run again replaces its decision.

    Returns
    -------
    ``verdict, reason, checks`` (`gate.Decision`) and ``version``.
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
        parameters=snapshot.parameters(plan),
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
    tracking.tag_version(
        model.name, version, {"perennial.verdict": decision.verdict.value, "perennial.reason": decision.reason[:4000]}
    )
    for check in decision.checks:
        log.info(
            "%s  %s: %s", {True: "passed", False: "FAILED", None: "unknown"}[check.passed], check.name, check.sentence
        )
    log.info("Version %d of %s: %s. %s", version, model.name, decision.verdict.value, decision.reason)
    return {**told, "version": version}
