"""What the files of a model may import of Perennial, next to their own folder."""

from __future__ import annotations

from include.former_names import FORMER

MAY_IMPORT = (
    "include.spec",
    "include.partitions",
    "include.errors",
    "include.spelling",
    "include.settings",
    "include.sources",
    "include.scoring.columns",
)


def may_import(module: str, model: str) -> bool:
    """Whether a file of this model, other than model.py, may import a module (or what is in it)."""
    allowed = (*MAY_IMPORT, *FORMER, f"include.models.{model}")
    return f"{module}.".startswith(tuple(f"{name}." for name in allowed))
