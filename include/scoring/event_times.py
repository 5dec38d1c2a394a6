"""When the event of a live request may be."""

from __future__ import annotations

from dataclasses import dataclass

from include.scoring.documents import InputSchema

_DAY = 86_400


@dataclass(frozen=True)
class EventTimes:
    """The event times that a live request may have, relative to the moment of the request.

    Attributes
    ----------
    column : name of the event time.
    past, ahead : how long before and after the request, in days.
    """

    column: str
    past: int
    ahead: int

    @classmethod
    def of(cls, schema: InputSchema) -> EventTimes | None:
        """Those of an `input_schema.json`; None if it has none, as in bundles made before they were declared."""
        days = schema.event_times
        return None if days is None else cls(schema.event_time, days.past_days, days.ahead_days)

    def bounds(self, now: float) -> tuple[int, int]:
        """The first and the last event time of a request at ``now``, in microseconds since 1970."""
        return round((now - self.past * _DAY) * 1e6), round((now + self.ahead * _DAY) * 1e6)

    def sentence(self) -> str:
        """The range in words."""
        return f"at most {self.past} days before and {self.ahead} days after the request"
