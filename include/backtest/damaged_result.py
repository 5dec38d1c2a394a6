"""The cost of nights that were damaged on purpose, as a part of the report of a back-test."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from include.records import PartitionKey, Record


class Counted(Record):
    """A record that counts nights by outcome (`policies.Decided`) as further fields."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, int] = Field(init=False)

    @property
    def counts(self) -> dict[str, int]:
        return self.__pydantic_extra__


class Excess(Record):
    """Days that damaged models served, their rows, and the mean excess over these rows; None without a row.

    The excess is by how much the metric of training was worse than that of the same release fitted on sound rows.
    """

    days: int
    rows: int
    excess: float | None


class Together(Counted):
    """Several damaged nights."""

    nights: int
    nightly: Excess
    ungated: Excess


class KindResult(Together):
    """All damaged nights of one kind of damage."""

    what: str


class ServedResult(Record):
    """The days that the model of a damaged night served; ``sound``: the metric that a sound night would have had."""

    first: PartitionKey
    days: int
    rows: int
    value: float
    sound: float
    excess: float


class DamagedNightResult(Record):
    """A damaged night: its outcome, and by policy the days on which its model served."""

    as_of: PartitionKey
    damage: str
    verdict: str
    reason: str
    challenger: str | None
    champion: PartitionKey | None
    served: dict[str, ServedResult | None]


class PooledPolicy(Record):
    """A policy with damaged nights, pooled; over all draws without its releases."""

    metrics: dict[str, float | None]
    releases: tuple[PartitionKey, ...] = ()


class RolledDay(Record):
    """What a policy served on a day, and its rolling metric."""

    as_of: PartitionKey
    rolling: float | None


class DrawnDay(Record):
    day: PartitionKey
    policies: dict[str, RolledDay]


class DrawResult(Record):
    """One draw of damaged nights; ``days`` of the first draw only, for the picture."""

    seed: int
    policies: dict[str, PooledPolicy]
    decisions: dict[str, int]
    nights: tuple[DamagedNightResult, ...]
    days: tuple[DrawnDay, ...] = ()


class DamagedResult(Record):
    """The cost of a share of damaged nights.

    Attributes
    ----------
    everywhere : whether the holdouts were damaged, too.
    policies : each pooled over the days of all draws.
    kinds, every : each kind of damage over all draws, and all of them together.
    """

    share: float
    everywhere: bool
    policies: dict[str, PooledPolicy]
    draws: tuple[DrawResult, ...]
    kinds: dict[str, KindResult]
    every: Together
