"""The base of every declaration of a model: frozen, strict, with an error that names the nearest known key."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from include.errors import Finding, Misdeclared

METRICS: dict[str, tuple[str, ...]] = {
    "classification": ("log_loss", "roc_auc", "average_precision", "brier", "accuracy", "calibration_error"),
    "regression": ("mae", "rmse", "r2", "pinball_10", "pinball_50", "pinball_90"),
}
"""The figures that are computed for every model of a task."""
Metric = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{1,49}$")]


class Declaration(BaseModel):
    """Base of all parts of a model: frozen, and an unknown key is an error with the nearest known one."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, arbitrary_types_allowed=False)

    @model_validator(mode="before")
    @classmethod
    def _name_the_unknown_key(cls, values: Any) -> Any:
        if isinstance(values, dict):
            fields = tuple(cls.model_fields)
            unknown = [Finding((k,), f"{cls.__name__} has no {k!r}", k, fields) for k in values if k not in fields]
            if unknown:
                raise Misdeclared(unknown)
        return values
