"""The JSON of the model server's requests and answers, one definition for both sides: it writes, a release reads.

Readers accept unknown fields, so that a release can talk to a newer server. Fields are only ever added, with a default.
The docstrings and descriptions are shown in ``/openapi.json``.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

Row = dict[str, Any]
"""One row as JSON: raw inputs by name, of any type until `include.scoring.contract` has checked them."""

Label = str | int | bool
"""A class, as the model declares it."""


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong with a request."""

    row: Annotated[int | None, Meta(description="Index of the row in `rows`, from 0.")]
    field: Annotated[str | None, Meta(description="Name of the field (or header).")]
    problem: Annotated[str, Meta(description="What is wrong, and the closest valid value.")]


class Error(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is wrong with a request, or why it cannot be answered."""

    detail: list[Problem]
    request_id: Annotated[str | UnsetType, Meta(description="Of a prediction.")] = UNSET
    model: Annotated[
        str | UnsetType, Meta(description="Of a prediction that reached a version, as the next two fields.")
    ] = UNSET
    version: int | UnsetType = UNSET
    digest: str | UnsetType = UNSET


class Prediction(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """`score`, or for more than two classes `label` and `scores`."""

    score: Annotated[
        float | UnsetType, Meta(description="The probability of the positive class, or the predicted value.")
    ] = UNSET
    label: Annotated[Label | UnsetType, Meta(description="The most probable of several classes.")] = UNSET
    scores: Annotated[dict[str, float] | UnsetType, Meta(description="The probability of each of several classes.")] = (
        UNSET
    )


class Predictions(msgspec.Struct, frozen=True):
    """The answer to a request: one prediction for each row, all made by the version that is named."""

    model: str
    version: Annotated[int, Meta(description="The version that made every prediction of this answer.")]
    digest: Annotated[str, Meta(description="SHA-256 that names the bundle of this version.")]
    request_id: str
    predictions: Annotated[list[Prediction], Meta(description="One for each row, in the order of the rows.")]


class Recent(msgspec.Struct, frozen=True, kw_only=True):
    """Requests of clients in the last 24 hours, summed over all processes of the server; probes are not counted."""

    requests: int
    errors: Annotated[int, Meta(description="Valid requests that the server could not answer.")]
    invalid: Annotated[int, Meta(description="Requests that were refused because of their content.")]
    p95_ms: Annotated[
        float | None, Meta(description="95 % of the answers took no longer inside the server, in milliseconds.")
    ]
    hours: Annotated[float, Meta(description="Covered by these figures; fewer than 24 after a restart.")]
    p99_ms: Annotated[float | None, Meta(description="The same for 99 % of the answers.")] = None


class ModelStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Which version of a model the server serves, and why a newer one is not in service."""

    model: str
    serving: bool
    version: Annotated[int | None, Meta(description="The version in service.")]
    digest: Annotated[str | None, Meta(description="SHA-256 that names its bundle.")]
    epoch: Annotated[int | None, Meta(description="Grows by one with every promotion and rollback.")]
    released_at: str | None
    run_id: Annotated[str | None, Meta(description="The Airflow run that put it into service.")]
    loaded_at: str | None
    source: Annotated[str | None, Meta(description="`store`, or `local copy` if the server started without the store.")]
    pending_error: Annotated[str | None, Meta(description="Why a newer release record is not in service.")]
    pending_digest: Annotated[
        str | None | UnsetType, Meta(description="SHA-256 of the bundle that `pending_error` is about, if it is one.")
    ] = UNSET
    reason: Annotated[str | None, Meta(description="Why nothing is in service.")]
    recent: Annotated[
        Recent | None | UnsetType,
        Meta(description="Only in the list of all models; null if a process of the server does not answer."),
    ] = UNSET
