"""One night after another under the protocol: who is champion, who was, and what rivals have shown so far.

The nights' fits lie on disk (`include.backtest.store`): those of the winner of the selection, whoever is champion.
Where the champion's recipe is refreshed instead, its twin and its release model are fitted here, once, and kept beside
them; and so is every figure that takes scoring, so that another margin of the gate measures nothing again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from include.backtest import broken as breaking
from include.backtest import night as nights
from include.backtest.broken import Broken, DamagedRows
from include.backtest.history import History
from include.backtest.night import Champion, Fits
from include.backtest.store import RELEASE, TWIN, Kept, judged_by
from include.gate import anchors, change, rivals
from include.gate.rivals import Recipe
from include.retraining import evaluate
from include.spec import Model
from include.training import snapshot
from include.training.candidates import Fitted


@dataclass(frozen=True)
class Reigning:
    """A night's challenger that became champion; its twin is loaded where it is scored."""

    version: int
    night: Kept
    recipe: Recipe

    @property
    def side(self) -> str:
        return self.night.side(TWIN, self.recipe.candidate)

    @property
    def twin_last(self) -> str:
        return str(self.night.about(self.side)["last"])

    @property
    def name(self) -> str:
        """Unlike that of any other champion of any back-test of this model."""
        return f"{self.night.folder.name}-{self.side}"

    @property
    def champion(self) -> Champion:
        return Champion(self.version, self.recipe, self.night.fitted(self.side))


class Replay:
    """The state of a deployment between two nights; begins without a champion.

    Parameters
    ----------
    broken : by as-of, the nights whose fits read damaged rows.
    everywhere : the holdout that the gate judges them on is damaged in the same way; without it, it is sound.
    """

    def __init__(
        self, model: Model, history: History, broken: Mapping[str, Broken] | None = None, everywhere: bool = False
    ) -> None:
        self.model, self.history, self.broken, self.everywhere = model, history, broken or {}, everywhere
        self.champion: Reigning | None = None
        self.past: list[Reigning] = []
        self._rivals = rivals.InMemory()
        self._judges = judged_by(model)

    def judged(self, plan: Mapping[str, Any], night: Kept) -> tuple[dict[str, Any], dict[str, Any]]:
        """The challenger's recipe, and what the gate reads about it."""
        model = self.model

        def twin(recipe: Mapping[str, Any]) -> Fitted:
            side = night.side(TWIN, str(recipe["candidate"]))
            return night.fitted(night.also(side, lambda: (nights.twin_of(model, plan, recipe, self._rows(plan)), None)))

        recipe = self.champion.recipe if self.champion else None
        made = nights.settle(model, plan, night.fits, recipe, self._rivals, twin)
        judged = _Judged(self, plan, night, made)
        measured, pair = judged.compared(), judged.beside()
        if pair:
            self._rivals.keep(model, *pair)
        version = self.champion.version if self.champion else None
        picked = anchors.pick(model.gate.anchors, self.past, version, made.twin.last)
        told = change.told(model, plan, made.recipe, recipe, pair[0] if pair else None, self._rivals)
        earlier = [judged.anchor(ago, one) if one else anchors.nobody(ago) for ago, one in picked]
        return made.recipe, {**measured, **told, "anchors": earlier}

    def release(self, plan: Mapping[str, Any], night: Kept, recipe: Mapping[str, Any]) -> tuple[str, str | None]:
        """Under what the release model of a challenger is kept, and why the guards of its refit refuse it, or None."""
        candidate = str(recipe["candidate"])
        side = night.side(RELEASE, candidate)

        def make() -> tuple[Fitted, str | None]:
            twin = night.fitted(night.side(TWIN, candidate))
            made = Fits(night.record["results"], dict(recipe), twin, night.fits.baseline)
            fitting = breaking.release if plan["as_of"] in self.broken else nights.release
            return fitting(self.model, plan, made, self._rows(plan))

        guard = night.about(night.also(side, make))["guard"]
        return side, None if guard is None else str(guard)

    def _rows(self, plan: Mapping[str, Any]) -> snapshot.Rows:
        """What the fits of a night read."""
        broken = self.broken.get(str(plan["as_of"]))
        return DamagedRows(self.model, plan, self.history, broken) if broken else self.history

    def promote(self, night: Kept, recipe: Mapping[str, Any]) -> None:
        """Make tonight's challenger the champion."""
        if self.champion:
            self.past.append(self.champion)
        self.champion = Reigning(len(self.past) + 1, night, Recipe.of(recipe))


@dataclass(frozen=True)
class _Judged:
    """One night's figures, each kept beside its fits; the holdout is read only where one is not there yet."""

    replay: Replay
    plan: Mapping[str, Any]
    night: Kept
    made: Fits

    @cached_property
    def held(self) -> evaluate.Held:
        replay = self.replay
        rows = replay._rows(self.plan) if self._damaged else replay.history
        return evaluate.hold(replay.model, self.plan, self.made.recipe["candidate"], rows)

    @property
    def _damaged(self) -> bool:
        """Is the holdout?"""
        return self.replay.everywhere and self.plan["as_of"] in self.replay.broken

    def _apart(self, name: str) -> str:
        """Where figures are kept: those by a damaged holdout not in the place of those by a sound one."""
        return f"{name}-damaged" if self._damaged else name

    @property
    def _judges(self) -> str:
        return self._apart(self.replay._judges)

    @property
    def mine(self) -> str:
        return self.night.side(TWIN, self.made.recipe["candidate"])

    def compared(self) -> dict[str, Any]:
        """Challenger, baseline and champion."""
        replay, standing = self.replay, self.replay.champion

        def make() -> dict[str, Any]:
            against = standing.champion if standing else None
            return nights.compare(replay.model, self.plan, self.made, against, self.held).result

        about = f"{self.mine}-against-{standing.name if standing else 'nobody'}"
        found = self.night.note(f"{about}-{self._judges}.json", make)
        if standing:
            found["champion"] |= {"name": f"the champion of {standing.night.as_of}", "version": standing.version}
        return found

    def beside(self) -> tuple[rivals.Pair, rivals.Scored] | None:
        """The challenger's rival, or the incumbent, on the same days."""
        replay, other = self.replay, self.made.other
        if other is None:
            return None
        kept = rivals.OnDisk(self.night.folder / self._apart(rivals.FOLDER))
        pair = change.pair_of(self.made.recipe, other.role, other.recipe)
        for night in kept.nights(replay.model, pair, self.night.as_of):
            return pair, night
        measured = nights.compare(replay.model, self.plan, self.made, None, self.held)
        found = nights.beside(replay.model, self.plan, self.made, self.held, measured.scores.get("challenger"))
        if found:
            kept.keep(replay.model, *found)
        return found

    def anchor(self, ago: int, one: Reigning) -> dict[str, Any]:
        """What `anchors.scored` gives of one champion of earlier nights."""
        model = self.replay.model

        def score(past: Reigning) -> np.ndarray:
            return nights.score(model, past.champion, self.held.rows, self.held.first)

        def make() -> dict[str, Any]:
            return anchors.scored(model, self.held.labels, [(ago, one)], score)[0]

        found = self.night.note(f"anchor-{one.name}-{self._judges}.json", make)
        return found | {"nights_ago": ago, "version": one.version, "name": f"the champion of {one.night.as_of}"}
