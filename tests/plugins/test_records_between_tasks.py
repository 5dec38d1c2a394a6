"""A task of a retraining reads the records of earlier tasks as JSON, or fails with an error that names the field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from include import catalog
from include.errors import ConfigurationError, IntegrityError
from tests.plugins import in_process
from tests.plugins.in_process import Ended

WRITTEN = Path(__file__).parent.parent / "retraining" / "written_before"


def document(name: str) -> Any:
    return json.loads((WRITTEN / f"{name}.json").read_text())


def evaluate(patch: pytest.MonkeyPatch, plan: dict[str, Any], selected: dict[str, Any]) -> Ended:
    xcoms = {("snapshot", "plan"): plan, "select": selected}
    return in_process.run_task(in_process.dag("toy_retrain"), "evaluate", {}, patch=patch, xcoms=xcoms)


def test_a_plan_of_other_code_is_refused_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = {**document("plan"), "a field of other code": 1}
    ended = evaluate(monkeypatch, plan, document("selection"))
    assert ended.state == "failed" and isinstance(ended.error, ConfigurationError)
    assert "the code changed during the run" in ended.note


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"seed": True}, "cannot be read as Plan: seed: input should be a valid integer"),
        ({"sed": 1}, "cannot be read as Plan: sed: extra inputs are not permitted; did you mean 'seed'?"),
        ({"as_of": "2026-5-4"}, "cannot be read as Plan: as_of: "),
    ],
)
def test_an_invalid_plan_fails_the_run_and_the_error_names_the_field(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], found: str
) -> None:
    plan = {**document("plan"), "code_digest": catalog.digest("toy"), **changes}
    ended = evaluate(monkeypatch, plan, document("selection"))
    assert ended.state == "failed" and isinstance(ended.error, IntegrityError)
    assert found in str(ended.error) and found in ended.note


def test_the_result_of_select_is_read_as_strictly(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = {**document("plan"), "code_digest": catalog.digest("toy")}
    selected = document("selection")
    del selected["twin"]["last"]
    ended = evaluate(monkeypatch, plan, selected)
    assert ended.state == "failed" and "cannot be read as Selection: twin.last: field required" in ended.note
