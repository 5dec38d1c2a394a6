"""The three users on a running stack: `op` starts runs, `viewer` reads, and neither of them administers."""

from __future__ import annotations

import pytest

from include.errors import ConfigurationError
from include.stack import credentials
from tests.end_to_end.stack_runner import Api, Running

pytestmark = [pytest.mark.end_to_end, pytest.mark.usefixtures("settings")]


def test_op_starts_and_clears_a_run_and_is_recorded(running: Running, run_id: str) -> None:
    op = Api(running.stack, credentials.OPERATOR)
    assert op.trigger_and_wait("perennial_predictions", run_id).state == "success"
    run = op._send("GET", f"/dags/perennial_predictions/dagRuns/{run_id}").json()
    assert run["triggering_user_name"] == "op"
    op._send("POST", f"/dags/perennial_predictions/dagRuns/{run_id}/clear", json={"dry_run": False})
    assert op.wait("perennial_predictions", run_id).state == "success"
    with pytest.raises(ConfigurationError, match="403"):
        op._send("GET", "/connections")


def test_viewer_reads_and_cannot_act(running: Running, run_id: str) -> None:
    viewer = Api(running.stack, credentials.VIEWER)
    assert viewer.dag("toy_retrain") is not None and list(viewer.runs("toy_retrain"))
    with pytest.raises(ConfigurationError, match="403"):
        viewer.trigger("perennial_predictions", run_id)
    with pytest.raises(ConfigurationError, match="403"):
        viewer.unpause("perennial_predictions")
