"""The actions of `<model>_rollback`. Imports nothing: a DAG file reads it at every parse."""

from enum import StrEnum


class Action(StrEnum):
    """A single choice, so that the form cannot contain contradictions."""

    FREEZE = "roll back and freeze"
    KEEP = "roll back, keep promoting"
    LIFT = "lift the freeze"
