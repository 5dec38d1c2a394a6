"""What the status routes answer, apart from `ModelStatus`. Docstrings and descriptions are shown in /openapi.json."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from include.scoring.documents import Column
from include.scoring.messages import ModelStatus
from include.serving.predict import Rows


class ModelDetails(ModelStatus, frozen=True, kw_only=True):
    """The status of a model with its input contract and a made-up row to try."""

    inputs: list[Column] | None = None
    example: Rows | None = None


class Models(msgspec.Struct, frozen=True):
    """All models that this server knows."""

    models: list[ModelStatus]


class Health(msgspec.Struct, frozen=True, omit_defaults=True):
    """Health of the server. A model that is not in service is named, but the server is still ready."""

    status: str
    serving: Annotated[
        list[str] | UnsetType, Meta(description="Models in service; only for those who send the token.")
    ] = UNSET
    not_serving: Annotated[
        dict[str, str] | UnsetType,
        Meta(description="The other models, each with the reason; also only for those who send the token."),
    ] = UNSET
