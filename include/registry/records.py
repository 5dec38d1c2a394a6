"""The release record: the small file that names the version of a model that servers must serve."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from include.errors import IntegrityError


@dataclass(frozen=True)
class ReleaseRecord:
    """The facts that a server needs about one model: the champion, its bundle, and the epoch, which only grows.

    ``released_at`` is the ledger's time in ISO 8601, UTC; ``run_id`` is the run that put the version into service.
    """

    model: str
    version: int
    digest: str
    epoch: int
    released_at: str
    run_id: str

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def to_json(self) -> bytes:
        """The bytes of release.json: the record, and the SHA-256 of its canonical form."""
        body = self.as_dict()
        return (json.dumps({**body, "sha256": _canonical_digest(body)}, indent=2) + "\n").encode()

    @classmethod
    def from_json(cls, data: bytes, where: str) -> ReleaseRecord:
        """Parse and verify; ``where`` names the file in errors.

        Unknown fields are accepted, because a newer version can have written the record; the SHA-256 covers them, too.

        Raises
        ------
        IntegrityError : torn, edited, or not a release record.
        """
        try:
            body = json.loads(data)
            claimed = body.pop("sha256")
            types = {"version": int, "epoch": int}
            known = {f.name: types.get(f.name, str) for f in fields(cls)}
            if any(type(body[name]) is not kind for name, kind in known.items()):
                raise ValueError
        except (ValueError, KeyError, TypeError, AttributeError):
            raise IntegrityError(
                f"{where} is not a whole release record ({len(data)} bytes): it is torn or was edited. "
                f"Promote or roll back again to rewrite it from the ledger."
            ) from None
        if claimed != _canonical_digest(body):
            raise IntegrityError(
                f"{where} was edited: its sha256 is not that of its content. Write it from the ledger."
            )
        return cls(**{name: body[name] for name in known})


def _canonical_digest(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
