"""What requests a model accepts: the part of the vocabulary that the model server enforces."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from include.spec.base import Declaration


class Serving(Declaration):
    """Which requests the model server accepts, in addition to the checks of the declared columns."""

    max_past_days: Annotated[int, Field(ge=1, le=36_500)] = 730
    """How many days before the request an event may have happened. Earlier event times are answered 422."""
    max_ahead_days: Annotated[int, Field(ge=1, le=36_500)] = 400
    """How many days after the request an event may happen. Later event times are answered 422."""
