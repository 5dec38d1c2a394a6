"""Several models in one house: which night is meant, what is listed, and how a start ends."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

import include.models
from include import catalog
from include.backtest.__main__ import main as backtest
from include.data.lake import Lake
from include.errors import ConfigurationError
from include.partitions import partition
from include.registry.rows import Standing
from include.stack import first_champions, night, running, status
from include.stack.airflow_api import AirflowApi
from include.stack.first_champions import Others, closing
from include.stack.following import Follower, RunFailed, left_out
from include.stack.layout import Stack
from include.stack.newcomers import Newcomers, refusal
from include.stack.signals import StopSignals
from include.stack.status import served
from tests.services import free_port, waits

TOY = Path(__file__).parent.parent / "models_for_tests" / "toy"


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Path]:
    """A house with one folder of models, which has one model."""
    shutil.copytree(TOY, tmp_path / "toy", ignore=shutil.ignore_patterns("__pycache__"))
    before = list(include.models.__path__)
    include.models.__path__ = [str(tmp_path)]
    yield tmp_path
    include.models.__path__ = before


def test_a_night_without_a_name_is_that_of_the_only_model(alone: Path) -> None:
    assert (
        catalog.chosen(None, "night").name
        == catalog.chosen("", "night").name
        == catalog.chosen("toy", "night").name
        == "toy"
    )


@pytest.mark.parametrize("target", ["night", "try-model", "backtest"])
def test_without_a_name_in_a_house_of_several_all_are_named(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    if target == "night":
        with pytest.raises(ConfigurationError) as error:
            catalog.chosen(None, target)
        said = str(error.value)
    else:
        assert backtest(["run" if target == "backtest" else "try"]) == 1
        said = capsys.readouterr().err
    assert "which model" in said
    for model in catalog.by_priority():
        assert model.name in said
    assert f"make {target} MODEL={catalog.by_priority()[0].name}" in said


def test_a_night_of_an_unknown_model_names_the_nearest(alone: Path) -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'toy'"):
        catalog.chosen("toi", "night")


def test_the_status_names_every_model_whatever_its_state(alone: Path) -> None:
    shutil.copytree(alone / "toy", alone / "halfway")
    (alone / "halfway" / "source.py").unlink()
    lines = served({"gone": 4, "frozen": None}, {})
    assert lines[0] == "  toy: no champion yet"
    assert lines[1].startswith("  halfway: broken: ") and "source.py is missing" in lines[1]
    assert lines[2:] == ["  gone: version 4", "  frozen: out of service"]
    assert served({"toy": 3}, {})[0] == "  toy: version 3"
    both = served({"halfway": 2}, {})
    assert both[1].startswith("  halfway: version 2; its folder is broken: ")


def test_the_status_states_only_what_was_answered(alone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    champion = Standing("toy", 3, "d", 4, False, None, "run", None)
    assert served(None, None) == ["  toy: not known"]
    assert served(None, {}) == ["  toy: no champion yet"]
    assert served(None, {"toy": champion}) == ["  toy: version 3 is the champion; whether it serves is not known"]
    assert served({}, {"toy": champion}) == ["  toy: version 3 is the champion; it does not serve"]
    assert served({}, None) == ["  toy: does not serve; whether it has a champion is not known"]
    assert served({}, {"toy": replace(champion, version=None)}) == ["  toy: out of service"]
    assert served({"toy": 2}, None) == ["  toy: version 2"]
    assert served(None, {"gone": replace(champion, model="gone")})[1].startswith("  gone: version 3 is the champion")
    assert status.standings() is None, "no ledger is configured"
    assert "is not known" in capsys.readouterr().out


def test_the_status_names_frozen_models_and_why(alone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frozen = Standing("toy", 3, "d", 4, True, "rolled back from version 4 by ann", "run", None)
    lines = served({"toy": 3}, {"toy": frozen})
    assert lines == ["  toy: version 3; promotion is frozen: rolled back from version 4 by ann"]
    assert served({"toy": 3}, {"toy": replace(frozen, frozen=False)}) == ["  toy: version 3"]


def test_the_last_line_of_a_start_says_who_has_no_champion() -> None:
    names = ["a", "b", "demand"]
    assert closing(names, []) == "3 of 3 models serve."
    assert closing(names, ["demand"]) == "2 of 3 models serve. Without a champion: demand; see above."


def test_a_folder_with_mistakes_is_named_and_not_trained(alone: Path, tmp_path: Path) -> None:
    """The half-written folder of a restart; the same content is linted once, and the correct folder passes."""
    stack = Stack(tmp_path / "home", 18090, 15090, 18099)
    stack.prepare()
    assert Newcomers(stack).new == [], "at the first start everything is new, which is not worth saying"
    shutil.copytree(alone / "toy", alone / "halfway")
    model = alone / "halfway" / "model.py"
    model.write_text(
        model.read_text().replace('name="toy"', 'name="halfway"').replace('event_time="at"', "event_time='on'")
    )
    newcomers = Newcomers(stack)
    assert newcomers.new == ["halfway"]
    problems = newcomers.mistakes("halfway")
    assert newcomers.mistakes("halfway") is problems
    said = refusal("halfway", problems)
    assert "model halfway is not trained" in said and "make lint-models MODELS=halfway" in said
    assert "halfway/model.py:" in said
    assert Newcomers(stack).new == []
    seen = json.loads((stack.run / "folders.json").read_text())
    assert seen["halfway"] == "", "seen, and not without mistakes"
    (stack.run / "folders.json").write_text(json.dumps(seen | {"halfway": catalog.digest("halfway")}))
    assert Newcomers(stack).mistakes("halfway") == (), "content that had no mistake is not linted again"


@pytest.fixture
def halfway(alone: Path) -> Path:
    """The only model, with a mistake that the lint finds and the import does not."""
    candidates = alone / "toy" / "candidates.py"
    candidates.write_text(candidates.read_text().replace("baseline=True", "baseline=False"))
    return alone


def follower_of(stack: Stack, monkeypatch: pytest.MonkeyPatch, ledger: list[str]) -> None:
    """`night` follows on an Airflow that is not there, which fails its night; the ledger has these champions."""

    def gone() -> None:
        raise RunFailed("it was followed")

    monkeypatch.setattr(night, "connected", lambda stack, model: Follower(AirflowApi(stack), model, gone))
    monkeypatch.setattr(night, "has_champion", lambda model: model.name in ledger)


def test_a_night_of_a_folder_with_mistakes_is_refused_like_its_first_one(
    halfway: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stack = Stack(tmp_path / "home", free_port(), free_port(), free_port())
    stack.prepare()
    champions: list[str] = []
    follower_of(stack, monkeypatch, champions)
    with pytest.raises(ConfigurationError, match="toy is not trained(.*\n)*.*make night MODEL=toy"):
        night.night(stack, "toy")
    assert Newcomers(stack).new == [], "the night was no start of the stack"
    champions.append("toy")
    assert night.night(stack, "toy") == 1
    assert "it was followed" in capsys.readouterr().out, "a model that serves is judged by its gate"


def test_an_interrupted_night_says_where_it_goes_on(
    alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stack = Stack(tmp_path / "home", free_port(), free_port(), free_port())
    stack.prepare()
    follower_of(stack, monkeypatch, ["toy"])

    def interrupted(follower: Follower, days: int) -> list[str]:
        raise KeyboardInterrupt

    monkeypatch.setattr(Follower, "missing", interrupted)
    monkeypatch.setattr(Follower, "patiently", lambda follower, call: True)
    assert night.night(stack, "toy") == 130
    assert f"continue in Airflow ({stack.airflow_url}/dags/toy_retrain" in capsys.readouterr().out


def test_days_that_are_left_out_are_told_apart(alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    """The driver of PostgreSQL lets no signal through: here a server that accepts and never answers."""
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
    assert killed == [True], "the kill came while the ledger was still waited for"


def test_an_unknown_name_is_refused_before_anything_starts(
    alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = Stack(tmp_path / "home", 18090, 15090, 18099)
    with pytest.raises(ConfigurationError, match="did you mean 'toy'"):
        running.run(stack, ["toi"])
    assert not stack.home.exists()


def test_stopping_is_a_failure_only_if_a_model_that_was_tried_has_no_champion_by_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    house = catalog.by_priority()
    others = Others.__new__(Others)
    others.failed = [house[0].name]  # its first run failed, and a later one may have given it a champion
    champions = {house[0].name}
    monkeypatch.setattr(first_champions, "has_champion", lambda model: model.name in champions)
    assert running._left_without(house, others) == 0
    champions.clear()
    assert running._left_without(house, others) == 1
    others.failed = []
    assert running._left_without(house, others) == 0
    assert running._left_without(house, None) == 0
