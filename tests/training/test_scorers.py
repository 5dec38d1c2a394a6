"""A model's own metrics: they are computed like built-in metrics, and their errors are clear."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from include import catalog
from include.errors import ConfigurationError, Misdeclared
from include.gate import comparison, decision
from include.gate.evaluation import Evaluation
from include.spec import Floor, Gate, Model, Scorer, Training
from include.training import measures
from tests.gate.test_gate import evaluation as measured

EUROS = Scorer(name="euros", larger_is_better=False, by_row=True)


def euros(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    return np.where(scores >= 1 / 12, 1.0, 12.0 * labels)


@pytest.fixture
def with_file(toy: Model, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Model]:
    """The toy with these scorers and a `scorers.py` with these functions."""
    real = catalog.module

    def made(*scorers: Scorer, **functions: Any) -> Model:
        file = ModuleType("include.models.toy.scorers")
        vars(file).update(functions)
        monkeypatch.setattr(catalog, "module", lambda n, f: file if (n, f) == ("toy", "scorers") else real(n, f))
        return toy.model_copy(update={"scorers": scorers})

    return made


def rows() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Labels, scores of two models (the second is worse), and the day of each row."""
    generator = np.random.default_rng(3)
    p = 1 / (1 + np.exp(-generator.normal(-1.5, 1.5, 2000)))
    y = (generator.random(2000) < p).astype(float)
    return y, p, np.clip(p + generator.normal(0, 0.3, 2000), 0.001, 0.999), np.repeat(np.arange(10), 200)


def test_a_scorer_is_a_metric_like_any_other(with_file: Callable[..., Model]) -> None:
    model = with_file(EUROS, Scorer(name="hits", larger_is_better=True), euros=euros, hits=lambda y, p: np.mean(y == 1))
    y, mine, theirs, day = rows()
    found = measures.metrics(model, y, mine)
    assert found["euros"] == pytest.approx(euros(y, mine).mean()) and found["hits"] == pytest.approx(y.mean())
    gains = comparison.gains(model, y, mine, theirs, day)
    assert gains["euros"].value == pytest.approx(euros(y, theirs).mean() - euros(y, mine).mean())
    assert gains["euros"].value is not None and gains["euros"].value > 0 and gains["hits"].value == 0


def test_a_floor_of_a_scorer_rejects_and_a_missing_value_holds(with_file: Callable[..., Model]) -> None:
    model = with_file(EUROS, euros=euros)
    evaluated = Evaluation.of(measured())
    assert "challenger.euros" in decision.decide(model, evaluated).reason, "it was not computed"
    assert decision.decide(model, evaluated).verdict == "hold"
    y, mine, _, day = rows()
    strict = model.model_copy(
        update={"gate": model.gate.model_copy(update={"floors": (Floor(metric="euros", limit=0.1),)})}
    )
    (floor,) = comparison.floors(strict, y, mine, day)
    assert floor.gain.upper is not None and floor.gain.upper < 0 and floor.value == pytest.approx(euros(y, mine).mean())


@pytest.mark.parametrize(
    ("scorer", "functions", "said"),
    [
        (EUROS, {"euro": euros}, "has no function 'euros'; did you mean 'euro'"),
        (EUROS, {"euros": lambda y, p: 1 / 0}, "'euros' of toy failed: ZeroDivisionError"),
        (EUROS, {"euros": lambda y, p: euros(y, p).mean()}, "returned an array of shape () for 2000 rows"),
        (Scorer(name="euros", larger_is_better=False), {"euros": euros}, "declare it with by_row=True"),
    ],
)
def test_a_wrong_scorer_is_a_clear_error(
    with_file: Callable[..., Model], scorer: Scorer, functions: dict[str, Any], said: str
) -> None:
    y, mine, *_ = rows()
    with pytest.raises(ConfigurationError, match=said.replace("(", r"\(").replace(")", r"\)")):
        measures.metrics(with_file(scorer, **functions), y, mine)


def test_an_undefined_scorer_gives_no_evidence(with_file: Callable[..., Model]) -> None:
    model = with_file(Scorer(name="odd", larger_is_better=True), odd=lambda y, p: np.nan)
    y, mine, theirs, day = rows()
    assert comparison.gains(model, y, mine, theirs, day)["odd"].value is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"training": Training(metric="eurs")},
            "training.metric 'eurs' is neither a metric nor a declared scorer",
        ),
        ({"gate": Gate(floors=(Floor(metric="mae", limit=1),))}, "gate.floors.metric 'mae' does not fit"),
        ({"scorers": (EUROS, EUROS)}, "'euros' is declared twice"),
        ({"scorers": (Scorer(name="brier", larger_is_better=False),)}, "'brier' is a metric already"),
    ],
)
def test_an_invalid_name_is_refused_in_the_declaration(toy: Model, changes: dict[str, Any], message: str) -> None:
    declared = {name: getattr(toy, name) for name in type(toy).model_fields} | {"scorers": (EUROS,)} | changes
    with pytest.raises((Misdeclared, ValueError)) as refused:
        Model(**declared)
    assert message in str(refused.value)


def test_a_scorer_can_be_the_compared_metric(toy: Model) -> None:
    declared = {name: getattr(toy, name) for name in type(toy).model_fields}
    compared = toy.training.model_copy(update={"metric": "euros"})
    assert Model(**declared | {"scorers": (EUROS,), "training": compared}).training.metric == "euros"
