"""A deployment simulated night after night: the champion, earlier champions, and the scores of rivals so far.

The nights' fits are on disk (`include.backtest.store`): those of the winner of the selection, whoever is champion. If
the champion's recipe is refreshed instead, its twin and its release model are fitted here, once, and kept next to them;
and so is every figure that needs scoring, so that nothing is measured again for another margin.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from include.backtest import in_memory
from include.backtest.damaged import DamagedNight, DamagedRows
from include.backtest.damaged import release as release_of_damaged
from include.backtest.history import History
from include.backtest.in_memory import Champion
from include.backtest.store import BASELINE, RELEASE, TWIN, Kept, judged_by
from include.gate import anchors, change, rivals
from include.gate.evaluation import Anchor, Evaluation
from include.gate.rivals import Pair, Scored
from include.retraining import measuring, night
from include.retraining.measuring import Measuring
from include.retraining.ports import HoldoutRows, Past, Ports, Serving, TwinScores
from include.retraining.selection import Chosen
from include.spec import Model
from include.training.candidates import Fitted
from include.training.plan import Plan
from include.training.recipes import Recipe, Twin
from include.training.rows import Rows


@dataclass(frozen=True)
class Reigning:
    """A night's challenger that became champion; its twin is loaded when it is scored."""

    version: int
    night: Kept
    recipe: Recipe

    @property
    def side(self) -> str:
        return self.night.side(TWIN, self.recipe.candidate)

    @property
    def twin_last(self) -> str:
        return self.night.about(self.side).last

    @property
    def name(self) -> str:
        return f"the champion of {self.night.as_of}"

    @property
    def key(self) -> str:
        """Different from that of any other champion of any back-test of this model."""
        return f"{self.night.folder.name}-{self.side}"


class KeptTwins:
    """The twins of a night that is kept; a twin's digest is its key there."""

    def __init__(self, model: Model, plan: Plan, kept: Kept, rows: Rows) -> None:
        self.model, self.plan, self.kept, self.rows = model, plan, kept, rows

    def fit(self, recipe: Recipe) -> Twin:
        """The twin, fitted if it is not there yet."""
        baseline = recipe.candidate == self.plan.baseline != self.kept.winner
        side = BASELINE if baseline else self.kept.side(TWIN, recipe.candidate)
        self.kept.also(side, lambda: (night.fit_twin(self.model, self.plan, recipe, self.rows), None))
        about = self.kept.about(side)
        return Twin(
            name=recipe.candidate,
            digest=side,
            first=about.first,
            last=about.last,
            rows=about.rows,
            dropped=about.dropped,
        )

    def pipeline(self, twin: Twin) -> Any:
        return self.kept.fitted(twin.digest).pipeline


class KeptChampions:
    """The champions of a simulated deployment."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.reigning: Reigning | None = None
        self.earlier: dict[int, Reigning] = {}

    def serving(self) -> Serving | None:
        one = self.reigning
        return Serving(one.version, one.name, one.recipe) if one else None

    def past(self) -> list[Past]:
        return [Past(one.version, one.twin_last) for one in self.earlier.values()]

    def of(self, version: int) -> Reigning:
        if self.reigning is not None and self.reigning.version == version:
            return self.reigning
        return self.earlier[version]

    def score(self, version: int, holdout: HoldoutRows) -> TwinScores:
        one = self.of(version)
        champion = Champion(version, one.recipe, one.night.fitted(one.side))
        return in_memory.scores_of(self.model, champion, holdout)

    def crown(self, kept: Kept, recipe: Recipe) -> None:
        """Make a night's challenger the champion."""
        if self.reigning:
            self.earlier[self.reigning.version] = self.reigning
        self.reigning = Reigning(len(self.earlier) + 1, kept, recipe)


class KeptMeasuring(Measuring):
    """Every figure of a night is kept next to its fits; the holdout is read only if one is missing.

    Parameters
    ----------
    judges : `store.judged_by`.
    damaged : the holdout is; figures measured on it are kept apart from those measured on a sound one.
    """

    def __init__(
        self, model: Model, plan: Plan, chosen: Chosen, ports: Ports, kept: Kept, judges: str, damaged: bool
    ) -> None:
        super().__init__(model, plan, chosen, ports)
        self.kept, self._apart = kept, "-damaged" if damaged else ""
        self._judges = f"{judges}{self._apart}"

    def compared(self) -> Evaluation:
        champion, measure = self._champions.reigning, super().compared
        about = f"{self.chosen.twin.digest}-against-{champion.key if champion else 'none'}"
        found = self.kept.note(f"{about}-{self._judges}.json", Evaluation, measure)
        if champion is None or found.champion is None:
            return found
        # another back-test over the same fits has its own numbers of champions
        return found.replace(champion=found.champion.replace(name=champion.name, version=champion.version))

    def other(self) -> tuple[Pair, Scored] | None:
        other = self.chosen.other
        if other is None:
            return None
        stored = rivals.OnDisk(self.kept.folder / f"{rivals.FOLDER}{self._apart}")
        pair = change.pair_of(self.chosen.recipe, other.role, other.recipe)
        for scored in stored.nights(self.model, pair, self.kept.as_of):
            return pair, scored
        found = super().other()
        if found:
            stored.keep(self.model, *found)
        return found

    def anchor(self, ago: int, past: Past | None) -> Anchor:
        if past is None:
            return anchors.absent(ago)
        one, measure = self._champions.of(past.version), super().anchor
        found = self.kept.note(f"anchor-{one.key}-{self._judges}.json", Anchor, lambda: measure(ago, past))
        return found.replace(nights_ago=ago, version=one.version, name=one.name)

    @property
    def _champions(self) -> KeptChampions:
        champions = self.ports.champions
        assert isinstance(champions, KeptChampions)
        return champions


class Deployment:
    """The state of a deployment between two nights; begins without a champion.

    Parameters
    ----------
    damaged : by as-of, the nights whose fits read damaged rows.
    everywhere : the holdout that the gate judges them on is damaged in the same way; without it, it is sound.
    """

    def __init__(
        self,
        model: Model,
        history: History,
        damaged: Mapping[str, DamagedNight] | None = None,
        everywhere: bool = False,
    ) -> None:
        self.model, self.history, self.damaged, self.everywhere = model, history, damaged or {}, everywhere
        self.champions = KeptChampions(model)
        self._rivals = rivals.InMemory()
        self._judges = judged_by(model)

    @property
    def champion(self) -> Reigning | None:
        return self.champions.reigning

    def evaluated(self, plan: Plan, kept: Kept) -> tuple[Chosen, Evaluation]:
        """The challenger of a night, and what the gate decides by."""
        rows, damaged = self._rows(plan), self.everywhere and plan.as_of in self.damaged
        twins = KeptTwins(self.model, plan, kept, rows)
        ports = Ports(rows if damaged else self.history, twins, self.champions, self._rivals)
        chosen, _ = night.select(self.model, plan, kept.record.results, ports)
        judging = KeptMeasuring(self.model, plan, chosen, ports, kept, self._judges, damaged)
        return chosen, measuring.evaluate(judging)

    def release(self, plan: Plan, kept: Kept, recipe: Recipe) -> tuple[str, str | None]:
        """The key of the release model of a challenger, and why the guards of its refit refuse it, or None."""
        fitting: Callable[..., tuple[Fitted, str | None]] = (
            release_of_damaged if plan.as_of in self.damaged else in_memory.release
        )

        def make() -> tuple[Fitted, str | None]:
            twin = kept.fitted(kept.side(TWIN, recipe.candidate)).pipeline
            return fitting(self.model, plan, recipe, twin, self._rows(plan))

        side = kept.also(kept.side(RELEASE, recipe.candidate), make)
        return side, kept.about(side).guard

    def promote(self, kept: Kept, recipe: Recipe) -> None:
        """Make tonight's challenger the champion."""
        self.champions.crown(kept, recipe)

    def _rows(self, plan: Plan) -> Rows:
        """What the fits of a night read."""
        damaged = self.damaged.get(plan.as_of)
        return DamagedRows(self.model, plan, self.history, damaged) if damaged else self.history
