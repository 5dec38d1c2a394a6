"""Several models in one project: which night is meant, which models are listed, and how a start ends."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

import include.models
from include import catalog
from include.backtest.__main__ import main as backtest
from include.data.lake import Lake
from include.errors import ConfigurationError
from include.partitions import partition
from include.stack import first_champions, night, running
from include.stack.airflow_api import AirflowApi
from include.stack.first_champions import Others, closing
from include.stack.following import Follower, RunFailed, left_out
from include.stack.layout import Stack
from include.stack.newcomers import Newcomers, refusal
from include.stack.signals import StopSignals
from tests.services import free_port, waits

TOY = Path(__file__).parent.parent / "models_for_tests" / "toy"


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Path]:
    """A project whose only folder of models has one model."""
    shutil.copytree(TOY, tmp_path / "toy", ignore=shutil.ignore_patterns("__pycache__"))
    before = list(include.models.__path__)
    include.models.__path__ = [str(tmp_path)]
    yield tmp_path
    include.models.__path__ = before


def test_a_night_without_a_name_is_about_the_only_model(alone: Path) -> None:
    assert (
        catalog.chosen(None, "night").name
        == catalog.chosen("", "night").name
        == catalog.chosen("toy", "night").name
        == "toy"
    )


@pytest.mark.parametrize("target", ["night", "try-model", "backtest"])
def test_without_a_name_the_error_names_all_of_several_models(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    if target == "night":
        with pytest.raises(ConfigurationError) as error:
            catalog.chosen(None, target)
        message = str(error.value)
    else:
        assert backtest(["run" if target == "backtest" else "try"]) == 1
        message = capsys.readouterr().err
    assert "which model" in message
    for model in catalog.by_priority():
        assert model.name in message
    assert f"make {target} MODEL={catalog.by_priority()[0].name}" in message


def test_a_night_of_an_unknown_model_names_the_closest_model(alone: Path) -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'toy'"):
        catalog.chosen("toi", "night")


def test_the_last_line_of_a_start_names_models_without_a_champion() -> None:
    names = ["a", "b", "demand"]
    assert closing(names, []) == "3 of 3 models serve."
    assert closing(names, ["demand"]) == "2 of 3 models serve. Without a champion: demand; see above."


def test_a_folder_with_mistakes_is_named_and_not_trained(alone: Path, tmp_path: Path) -> None:
    """A restart finds an incomplete folder. The same content is linted once, and the correct folder passes."""
    stack = Stack(tmp_path / "home", 18090, 15090, 18099)
    stack.prepare()
    assert Newcomers(stack).new == [], "at the first start everything is new, so nothing is reported as new"
    shutil.copytree(alone / "toy", alone / "halfway")
    model = alone / "halfway" / "model.py"
    model.write_text(
        model.read_text().replace('name="toy"', 'name="halfway"').replace('event_time="at"', "event_time='on'")
    )
    newcomers = Newcomers(stack)
    assert newcomers.new == ["halfway"]
    problems = newcomers.mistakes("halfway")
    assert newcomers.mistakes("halfway") is problems
    message = refusal("halfway", problems)
    assert "model halfway is not trained" in message and "make lint-models MODELS=halfway" in message
    assert "halfway/model.py:" in message
    assert Newcomers(stack).new == []
    seen = json.loads((stack.run / "folders.json").read_text())
    assert seen["halfway"] == "", "it was seen and has mistakes"
    (stack.run / "folders.json").write_text(json.dumps(seen | {"halfway": catalog.digest("halfway")}))
    assert Newcomers(stack).mistakes("halfway") == (), "content that had no mistake is not linted again"


@pytest.fixture
def halfway(alone: Path) -> Path:
    """A project whose only model has a mistake that the lint finds and the import does not."""
    candidates = alone / "toy" / "candidates.py"
    candidates.write_text(candidates.read_text().replace("baseline=True", "baseline=False"))
    return alone


def follower_of(stack: Stack, monkeypatch: pytest.MonkeyPatch, ledger: list[str]) -> None:
    """Let `night` follow an Airflow that does not exist, so that it fails. The ledger has these champions."""

    def gone() -> None:
        raise RunFailed("it was followed")

    monkeypatch.setattr(night, "connected", lambda stack, model: Follower(AirflowApi(stack), model, gone))
    monkeypatch.setattr(night, "has_champion", lambda model: model.name in ledger)


def test_the_first_night_of_a_folder_with_mistakes_is_refused(
    halfway: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stack = Stack(tmp_path / "home", free_port(), free_port(), free_port())
    stack.prepare()
    champions: list[str] = []
    follower_of(stack, monkeypatch, champions)
    with pytest.raises(ConfigurationError, match="toy is not trained(.*\n)*.*make night MODEL=toy"):
        night.night(stack, "toy")
    assert Newcomers(stack).new == [], "the night did not count as a start of the stack"
    champions.append("toy")
    assert night.night(stack, "toy") == 1
    assert "it was followed" in capsys.readouterr().out, "a model that serves is judged by its gate"


def test_an_interrupted_night_says_where_it_continues(
    alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stack = Stack(tmp_path / "home", free_port(), free_port(), free_port())
    stack.prepare()
    follower_of(stack, monkeypatch, ["toy"])

    def interrupted(follower: Follower, days: int, last: object) -> list[str]:
        raise KeyboardInterrupt

    monkeypatch.setattr(Follower, "missing", interrupted)
    monkeypatch.setattr(Follower, "patiently", lambda follower, call: True)
    assert night.night(stack, "toy") == 130
    assert f"continue in Airflow ({stack.airflow_url}/dags/toy_retrain" in capsys.readouterr().out


def test_rejected_days_and_days_that_were_not_fetched_are_distinguished(
    alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERENNIAL_HOME", str(tmp_path / "home"))
    toy = catalog.load("toy")
    lake = Lake.of(toy)
    for key in ("2026-05-03", "2026-05-04"):
        lake.keep_raw(partition(key, toy.timezone), pd.DataFrame({"at": [1]}))
    assert left_out(toy, ["2026-05-03", "2026-05-04", "2026-05-05"]).splitlines() == [
        "failed validation: 2 days of toy (2026-05-03, 2026-05-04) were rejected; see toy_load in Airflow",
        "warning: 1 day of toy (2026-05-05) was not fetched; see toy_load in Airflow",
    ]


def test_a_second_signal_ends_the_stack_while_the_ledger_hangs(
    alone: Path, monkeypatch: pytest.MonkeyPatch, signals: StopSignals
) -> None:
    """PostgreSQL's driver blocks signals. The server here accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        port = hanging.getsockname()[1]
        monkeypatch.setenv("PERENNIAL_DATABASE_URL", f"postgresql://u:p@127.0.0.1:{port}/ledger")
        others = Others.__new__(Others)
        others.failed = ["toy"]
        clients: list[socket.socket] = []
        killed: list[bool] = []

        def interrupt() -> None:
            clients.append(hanging.accept()[0])
            clients[0].recv(1)
            os.kill(os.getpid(), signal.SIGINT)

        def kill() -> None:
            killed.append(waits(clients[0]))
            clients[0].close()
            hanging.close()

        signals.stopping(kill)
        threading.Thread(target=interrupt).start()
        assert running._left_without(catalog.by_priority(), others) == 1
    assert killed == [True], "the kill came while the stack still waited for the ledger"


def test_an_unknown_name_is_refused_before_anything_starts(
    alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = Stack(tmp_path / "home", 18090, 15090, 18099)
    with pytest.raises(ConfigurationError, match="did you mean 'toy'"):
        running.run(stack, ["toi"])
    assert not stack.home.exists()


def test_stopping_is_a_failure_only_if_a_tried_model_still_has_no_champion(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    models = catalog.by_priority()
    others = Others.__new__(Others)
    others.failed = [models[0].name]  # its first run failed, but a later run can have made a champion
    champions = {models[0].name}
    monkeypatch.setattr(first_champions, "has_champion", lambda model: model.name in champions)
    assert running._left_without(models, others) == 0
    champions.clear()
    assert running._left_without(models, others) == 1
    others.failed = []
    assert running._left_without(models, others) == 0
    assert running._left_without(models, None) == 0
