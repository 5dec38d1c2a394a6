"""What travels between steps: frozen, strict models, which become JSON only where they are stored or sent."""

from __future__ import annotations

import json
from datetime import date
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints, ValidationError

from include.errors import IntegrityError
from include.spelling import did_you_mean

MOST_PROBLEMS = 5  # of a document that an error lists


def _partition_key(text: str) -> str:
    """Keys are compared as text, so nothing but a day in ISO 8601 may pass for one."""
    if date.fromisoformat(text).isoformat() != text:
        raise ValueError("a day is written YYYY-MM-DD")
    return text


PartitionKey = Annotated[str, AfterValidator(_partition_key)]
Text = Annotated[str, StringConstraints(min_length=1)]


class Record(BaseModel):
    """Base of what one step hands to the next.

    Numbers are finite numbers: nan, infinity, text and booleans are refused. A field without a default must be there;
    one that older documents do not have has a default. Unknown fields are refused.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @classmethod
    def of(cls, document: object) -> Self:
        """Read a JSON document: what `as_dict` returns, now or in an older version.

        Raises
        ------
        IntegrityError : the document is not such a record; names the fields and what is wrong with them.
        """
        try:
            return cls.model_validate_json(json.dumps(document))
        except ValidationError as problem:
            raise IntegrityError(f"this cannot be read as {cls.__name__}: {_told(cls, problem)}") from None
        except TypeError as problem:
            raise IntegrityError(f"this cannot be read as {cls.__name__}, because it is not JSON: {problem}") from None

    def replace(self, **changes: object) -> Self:
        """A copy with other values, checked as the first ones were."""
        kept = {name: getattr(self, name) for name in self.model_fields_set}
        return type(self)(**kept | changes)

    def as_dict(self) -> dict[str, Any]:
        """The record as a JSON document, without fields that were never set: reading and writing changes nothing."""
        return self.model_dump(mode="json", exclude_unset=True)


def _told(kind: type[BaseModel], problem: ValidationError) -> str:
    found = []
    for error in problem.errors(include_url=False):
        where = ".".join(map(str, error["loc"])) or "the document"
        near = ""
        if error["type"] == "extra_forbidden" and len(error["loc"]) == 1:
            near = did_you_mean(where, kind.model_fields)
        found.append(f"{where}: {error['msg'][:1].lower()}{error['msg'][1:]}{near}")
    more = f" and {len(found) - MOST_PROBLEMS} more" if len(found) > MOST_PROBLEMS else ""
    return "; ".join(found[:MOST_PROBLEMS]) + more
