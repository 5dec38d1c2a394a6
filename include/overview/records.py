"""All records of the overview, in one place to import from: frozen, and without logic of their own."""

from __future__ import annotations

from include.overview.current import (
    Data as Data,
)
from include.overview.current import (
    Day as Day,
)
from include.overview.current import (
    DayState as DayState,
)
from include.overview.current import (
    Filter as Filter,
)
from include.overview.current import (
    Freeze as Freeze,
)
from include.overview.current import (
    Gain as Gain,
)
from include.overview.current import (
    ModelOverview as ModelOverview,
)
from include.overview.current import (
    Night as Night,
)
from include.overview.current import (
    Outcome as Outcome,
)
from include.overview.current import (
    Overview as Overview,
)
from include.overview.current import (
    Point as Point,
)
from include.overview.current import (
    Quality as Quality,
)
from include.overview.current import (
    ServerState as ServerState,
)
from include.overview.current import (
    Serving as Serving,
)
from include.overview.past import (
    AuditOf as AuditOf,
)
from include.overview.past import (
    CandidateFigure as CandidateFigure,
)
from include.overview.past import (
    Check as Check,
)
from include.overview.past import (
    ComparedFigure as ComparedFigure,
)
from include.overview.past import (
    ComparedSlice as ComparedSlice,
)
from include.overview.past import (
    ComparedText as ComparedText,
)
from include.overview.past import (
    Comparison as Comparison,
)
from include.overview.past import (
    DecisionOf as DecisionOf,
)
from include.overview.past import (
    Figure as Figure,
)
from include.overview.past import (
    Lineage as Lineage,
)
from include.overview.past import (
    ModelHistory as ModelHistory,
)
from include.overview.past import (
    SliceFigure as SliceFigure,
)
from include.overview.past import (
    VersionOf as VersionOf,
)
from include.overview.sources import (
    Live as Live,
)
from include.overview.sources import (
    RunRow as RunRow,
)
from include.overview.sources import (
    Runs as Runs,
)
from include.overview.sources import (
    ServedModel as ServedModel,
)
from include.overview.sources import (
    Server as Server,
)
