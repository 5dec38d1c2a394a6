"""Records for the part of a back-test report that covers nights damaged on purpose."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from include.records import PartitionKey, Record


class Counted(Record):
    """A record whose extra fields are the numbers of nights by outcome (`policies.Decided`)."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, int] = Field(init=False)

    @property
    def counts(self) -> dict[str, int]:
        return self.__pydantic_extra__


class Excess(Record):
    """The days on which damaged models served, the rows of these days, and the mean excess (None without rows).

    The excess is the difference by which the training metric is worse than that of the same release fitted on sound
    rows.
    """

    days: int
    rows: int
    excess: float | None


class Together(Counted):
    """The totals over several damaged nights."""

    nights: int
    nightly: Excess
    ungated: Excess


class KindResult(Together):
    """All damaged nights of one kind of damage."""

    what: str


class ServedResult(Record):
    """The days on which a damaged night's model served; ``sound``: the metric of the same night on sound rows."""

    first: PartitionKey
    days: int
    rows: int
    value: float
    sound: float
    excess: float


class DamagedNightResult(Record):
    """A damaged night: its outcome and, for each policy, the days on which its model served."""

    as_of: PartitionKey
    damage: str
    verdict: str
    reason: str
    challenger: str | None
    champion: PartitionKey | None
    served: dict[str, ServedResult | None]


class PooledPolicy(Record):
    """The pooled metrics of a policy with damaged nights; ``releases`` is empty if pooled over all draws."""

    metrics: dict[str, float | None]
    releases: tuple[PartitionKey, ...] = ()


class RolledDay(Record):
    """The as-of of the model that a policy served on a day, and its rolling metric."""

    as_of: PartitionKey
    rolling: float | None


class DrawnDay(Record):
    day: PartitionKey
    policies: dict[str, RolledDay]


class DrawResult(Record):
    """One draw of damaged nights; ``days`` is only set for the first draw, for the picture."""

    seed: int
    policies: dict[str, PooledPolicy]
    decisions: dict[str, int]
    nights: tuple[DamagedNightResult, ...]
    days: tuple[DrawnDay, ...] = ()


class DamagedResult(Record):
    """The cost of a share of damaged nights.

    Attributes
    ----------
    everywhere : whether the holdouts were also damaged.
    policies : each policy, pooled over the days of all draws.
    kinds, every : the totals over all draws, for each kind of damage and for all kinds together.
    """

    share: float
    everywhere: bool
    policies: dict[str, PooledPolicy]
    draws: tuple[DrawResult, ...]
    kinds: dict[str, KindResult]
    every: Together
