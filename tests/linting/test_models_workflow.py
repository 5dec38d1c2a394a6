"""The check of pull requests: the commands of the workflow itself, in a real clone with a changed model."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from include.linting.changed import changed
from include.settings import PROJECT

pytestmark = pytest.mark.slow

WORKFLOW = PROJECT / ".github" / "workflows" / "models.yml"
TOY = PROJECT / "tests" / "models_for_tests" / "toy"
COMMANDS = ("Which models", "Lint", "Train on a sample")


@pytest.fixture(scope="module")
def workflow() -> dict[str, Any]:
    found = yaml.safe_load(WORKFLOW.read_text())
    assert isinstance(found, dict)
    return found


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    return subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone on a branch that adds the toy as a model, with the environment of this run as its .venv."""
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", str(PROJECT), str(clone))
    for file in git(PROJECT, "ls-files", "--cached", "--others", "--exclude-standard", "-z").split("\0"):
        if file and (PROJECT / file).is_file():  # uncommitted changes are tested as well
            (clone / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(PROJECT / file, clone / file)
    (clone / ".venv").symlink_to(sys.prefix)
    git(clone, "add", "-A", "--", ".", ":!.venv")
    git(clone, "commit", "-q", "--allow-empty", "-m", "base")
    git(clone, "tag", "base")
    git(clone, "switch", "-q", "-c", "branch")
    shutil.copytree(TOY, clone / "include" / "models" / "toy", ignore=shutil.ignore_patterns("__pycache__"))
    git(clone, "add", "include/models/toy")
    git(clone, "commit", "-q", "-m", "a model")
    return clone


def steps(
    workflow: dict[str, Any], clone: Path, scratch: Path, **more: str
) -> dict[str, subprocess.CompletedProcess[str]]:
    """Run the commands of the job as GitHub does: one after the other, until one fails."""
    scratch.mkdir(exist_ok=True)
    known = {"github.event.pull_request.base.sha": git(clone, "rev-parse", "base").strip(), "inputs.model": "", **more}
    job = workflow["jobs"]["models"]
    environment = {k: re.sub(r"\$\{\{ (.*?) \}\}", lambda m: known[m[1]], str(v)) for k, v in job["env"].items()}
    outside = {k: v for k, v in os.environ.items() if not k.startswith("PERENNIAL_")}
    outside |= {"RUNNER_TEMP": str(scratch), "GITHUB_STEP_SUMMARY": str(scratch / "summary.md"), "TMPDIR": str(scratch)}
    done: dict[str, subprocess.CompletedProcess[str]] = {}
    for step in job["steps"]:
        if step.get("name") in COMMANDS:
            shell = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
            result = subprocess.run(
                shell, cwd=clone, env=outside | environment, capture_output=True, text=True, timeout=600
            )
            done[step["name"]] = result
            if result.returncode:
                break
    return done


def test_a_changed_model_is_linted_trained_and_its_candidates_are_the_summary(
    workflow: dict[str, Any], clone: Path, tmp_path: Path
) -> None:
    scratch = tmp_path / "runner"
    done = steps(workflow, clone, scratch)
    assert [r.returncode for r in done.values()] == [0, 0, 0], [(r.args[-1], r.stdout, r.stderr) for r in done.values()]
    assert (scratch / "models").read_text() == "toy\n"
    assert "1 model, no mistake" in done["Lint"].stdout
    summary = (scratch / "summary.md").read_text()
    for candidate in ("baseline", "logistic", "boosting", "coarse"):
        assert re.search(rf"^\|.*\b{candidate}\b.*\|", summary, re.M), summary
    assert "log_loss" in summary


def test_a_mistake_is_annotated_at_its_line_and_nothing_is_trained(
    workflow: dict[str, Any], clone: Path, tmp_path: Path
) -> None:
    path = clone / "include" / "models" / "toy" / "features.py"
    path.write_text(path.read_text().replace('columns["shop"]', 'columns["shopp"]'))
    git(clone, "commit", "-qam", "a slip")
    done = steps(workflow, clone, tmp_path / "runner")
    assert list(done) == ["Which models", "Lint"]
    line = path.read_text()[: path.read_text().index('"shopp"')].count("\n") + 1
    assert f"::error file=include/models/toy/features.py,line={line}," in done["Lint"].stdout
    assert "did you mean 'shop'?" in done["Lint"].stdout


def test_a_change_outside_of_models_lints_and_trains_nothing(
    workflow: dict[str, Any], clone: Path, tmp_path: Path
) -> None:
    git(clone, "rm", "-rq", "include/models/toy")
    git(clone, "commit", "-qm", "no model after all")
    done = steps(workflow, clone, tmp_path / "runner")
    assert [r.returncode for r in done.values()] == [0, 0, 0]
    assert (tmp_path / "runner" / "models").read_text() == ""
    assert not (tmp_path / "runner" / "summary.md").exists()


def test_a_manual_run_takes_the_named_model(workflow: dict[str, Any], clone: Path, tmp_path: Path) -> None:
    scratch = tmp_path / "runner"
    only = {"jobs": {"models": {**workflow["jobs"]["models"]}}}
    only["jobs"]["models"]["steps"] = [s for s in only["jobs"]["models"]["steps"] if s.get("name") == "Which models"]
    steps(only, clone, scratch, **{"inputs.model": "bike_demand"})
    assert (scratch / "models").read_text() == "bike_demand\n"


def test_only_changes_of_the_branch_count(clone: Path) -> None:
    """Commits that were added to the base since the branch began are not changes of the branch."""
    git(clone, "switch", "-q", "-c", "main2", "base")
    readme = clone / "include" / "models" / "bike_demand" / "__init__.py"
    readme.write_text(readme.read_text() + "\n")
    git(clone, "commit", "-qam", "somebody else's work")
    git(clone, "switch", "-q", "branch")
    line = [str(clone / ".venv" / "bin" / "python"), "-m", "include.linting", "changed", "--base", "main2"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PERENNIAL_")}
    done = subprocess.run(line, cwd=clone, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "toy\n"


def test_the_workflow_has_minimal_permissions_and_pinned_actions(workflow: dict[str, Any]) -> None:
    assert workflow["permissions"] == {"contents": "read"}
    triggers = {str(key): value for key, value in workflow.items()}["True"]  # YAML 1.1 reads `on` as true
    assert triggers["pull_request"]["paths"] == ["include/models/**"]
    assert "model" in triggers["workflow_dispatch"]["inputs"]
    ours = yaml.safe_load((PROJECT / ".github" / "workflows" / "ci.yml").read_text())
    pinned = {s["uses"] for job in ours["jobs"].values() for s in job["steps"] if "uses" in s}
    used = [s["uses"] for s in workflow["jobs"]["models"]["steps"] if "uses" in s]
    assert set(used) <= pinned
    for step in workflow["jobs"]["models"]["steps"]:
        assert "${{" not in step.get("run", ""), "an expression in a command lets the name of a branch inject code"


def test_every_command_of_the_workflow_is_run_here(workflow: dict[str, Any]) -> None:
    names = [s.get("name") for s in workflow["jobs"]["models"]["steps"] if "run" in s]
    assert [n for n in names if n in COMMANDS] == list(COMMANDS)
    assert set(names) - set(COMMANDS) <= {None, "Environment"}


def test_a_deleted_model_is_not_linted(clone: Path) -> None:
    assert "toy" not in changed("HEAD", clone)
