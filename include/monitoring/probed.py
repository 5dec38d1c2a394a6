"""The newer fits of a model that is not retrained every night: the twins of its versions, and probes if these are old.

It is a source of challengers (`include.monitoring.challengers.Challengers`) on top of another one. A model that is
retrained every night never gets a probe, because its newest twin is as new as a probe of today would be.
"""

from __future__ import annotations

import logging

from include.errors import DataError, PerennialError, TransientError
from include.monitoring.challengers import Challenger, Challengers, Rows
from include.monitoring.probes import Probes
from include.registry.ledger import Ledger
from include.registry.rows import VersionRow
from include.spec import Model

log = logging.getLogger(__name__)


class Probed:
    """The newest fit of another source, or a probe of the champion's recipe if that fit is missing or old.

    Parameters
    ----------
    others : the twins of the versions.
    """

    def __init__(self, model: Model, ledger: Ledger, others: Challengers, probes: Probes | None = None) -> None:
        self.model, self.ledger, self.others = model, ledger, others
        self.probes = probes or Probes(model)

    def newest(self, rows: Rows, after: str | None) -> Challenger | None:
        """As `Challengers.newest`; a probe is fitted now if it is due.

        Raises
        ------
        DataError : a probe is due and cannot be fitted or scored, and there is no other newer fit; the reason.
        """
        other = self.others.newest(rows, after)
        champion = None if rows.champion is None else self.ledger.version(self.model.name, rows.champion)
        if champion is None:
            return other
        try:
            return self._probe(champion, rows, max(after or champion.twin_last, other.last if other else "")) or other
        except TransientError:
            raise
        except Exception as problem:  # code of the model's folder
            said = str(problem) if isinstance(problem, PerennialError) else f"{type(problem).__name__}: {problem}"
            if other is None:
                raise DataError(f"no newer fit of {self.model.name} can be made to compare with: {said}") from problem
            log.warning("No probe of %s can be compared, so %s is: %s", self.model.name, other.name, said)
            return other

    def _probe(self, champion: VersionRow, rows: Rows, learned_to: str) -> Challenger | None:
        probe = self.probes.newest(champion, rows.last, learned_to)
        if probe is None:
            return None
        return Challenger(f"the probe of {probe.as_of}", probe.last, self.probes.scores(probe, rows.frame))
