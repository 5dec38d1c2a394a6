"""`make try-model` reports one night on the newest days as Markdown; and long commands show their progress."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline

from include import catalog
from include.backtest import trying
from include.errors import ConfigurationError, DataError, ReleaseError
from include.progress import Progress, pace, spell
from include.scoring import processor_time
from include.spec import Candidate
from include.training import refit
from tests.backtest import drifting as drifting_models
from tests.training.borrowed import Borrowed

ROOT = Path(__file__).resolve().parents[2]
AS_OF = "2026-01-30"


@pytest.fixture(scope="module")
def root(drifting: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a first trial has collected the days of one night."""
    drifting_models.write(drifting)
    folder = tmp_path_factory.mktemp("try")
    assert trying.run("drifting_binary", AS_OF, root=folder) == 0
    return folder


def test_the_report_has_candidates_checks_and_verdict(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    assert trying.run("drifting_binary", AS_OF, root=root, summary=summary) == 0
    text, printed = summary.read_text(), capsys.readouterr().out
    assert text.startswith("before\n## drifting_binary: promote about 2026-01-30\n") and text.strip()[8:] in printed
    for shown in ("| baseline (baseline) |", "| linear (challenger) |", "selection log_loss", "holdout roc_auc"):
        assert shown in text
    assert "| unseen | passed |" in text and "It can be packaged: refitted on 640 rows" in text
    assert "collect: 1 ..." in printed, "only the rejected day is collected again"


def test_fewer_days_shorten_the_window(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert trying.run("drifting_binary", AS_OF, days=10, root=root) == 0
    assert "2026-01-21 to 2026-01-24 | 320 |" in capsys.readouterr().out
    assert trying.run("drifting_binary", AS_OF, max_rows=100, root=root) == 0
    assert "| linear (challenger) | 2026-01-17 to 2026-01-24 | 100 |" in capsys.readouterr().out
    with pytest.raises(ConfigurationError, match="Give 7 or more"):
        trying.run("drifting_binary", AS_OF, days=6, root=root)


def test_a_model_that_cannot_be_packaged_is_an_error(
    root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(refit, "GROSSLY_UNLIKE", 1e-9)
    with pytest.raises(ReleaseError, match="grossly unlike its twin"):
        trying.run("drifting_binary", AS_OF, root=root, summary=tmp_path / "summary.md")
    assert "**It cannot be packaged:**" in (tmp_path / "summary.md").read_text()


def test_a_model_that_a_night_cannot_store_is_an_error(
    drifting: Path, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its scores are good and it converts to ONNX. Only the skops file of its twin would be refused."""
    declared = catalog.module("drifting_binary", "candidates").candidates()
    declared["linear"] = Candidate(make_pipeline(SimpleImputer(), Borrowed()))
    monkeypatch.setattr(catalog.module("drifting_binary", "candidates"), "candidates", lambda: declared)
    with pytest.raises(ReleaseError) as refused:
        trying.run("drifting_binary", AS_OF, root=root)
    message = str(refused.value)
    assert "candidate 'linear' of drifting_binary cannot be stored" in message and "tests.training.borrowed" in message
    assert "never as a pickle" in message and "declare them in model.py: Training(trusted_types=" in message
    assert "promote" not in capsys.readouterr().out


def test_a_trial_packages_as_a_night_does(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor_time, "milliseconds", lambda call: 21.0)
    with pytest.raises(ReleaseError, match=r"one row takes 21\.0 ms"):
        trying.run("drifting_binary", AS_OF, root=root)


def test_without_one_good_day_the_error_gives_the_reason(drifting: Path, tmp_path: Path) -> None:
    name = drifting_models.write(drifting, "regression")
    source = drifting / name / "source.py"
    text = source.read_text()
    try:
        source.write_text(text.replace(f'partition.key == "{drifting_models.MISSING_DAY}"', "True"))
        sys.modules.pop(f"include.models.{name}.source", None)
        with pytest.raises(DataError, match="not one day of drifting_regression could be published.*'b'"):
            trying.run(name, AS_OF, days=7, root=tmp_path)
    finally:
        source.write_text(text)
        sys.modules.pop(f"include.models.{name}.source", None)
    assert catalog.load(name).name == name


def test_the_command_leaves_nothing_behind(drifting: Path, root: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    arguments = ["--model", "drifting_binary", "--as-of", AS_OF, "--days", "7"]
    line = [sys.executable, "-m", "include.backtest", "try", *arguments]
    done = subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert "**promote**" in done.stdout and "INFO" not in done.stderr
    assert not [p for p in tmp_path.iterdir() if p.name.startswith("perennial-try")]
    line[-6:] = ["--model", "drifting_binry", "--as-of", AS_OF]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 1 and done.stderr.startswith("error: ") and "did you mean" in done.stderr


def test_a_bar_on_a_terminal_and_lines_elsewhere(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("include.progress.QUIET_SECONDS", 0.0)
    for terminal in (False, True):
        with Progress(terminal).bar("fit", 3) as advance:
            for name in ("one", "two", "three"):
                advance(name)
        printed = capsys.readouterr().out
        assert ("\x1b" in printed) is terminal and "fit: 3 in 0 s" in printed
        if not terminal:
            assert printed.splitlines()[0] == "fit: 3 ..." and printed.splitlines()[1].startswith("  fit: 1/3 one, ")
    with Progress(False).bar("nothing", 0):
        pass
    assert capsys.readouterr().out == ""
    assert pace(4, 10, began=time.monotonic() - 8).startswith("2.0 s each, 12 s left")
    assert [spell(s) for s in (12, 89, 300, 6000)] == ["12 s", "89 s", "5 min", "1 h 40 min"]
