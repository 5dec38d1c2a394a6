"""What `<model>_rollback` can be asked to do. Imports nothing: a DAG file reads it at every parse."""

from enum import StrEnum


class Action(StrEnum):
    """One choice, so that the form cannot contradict itself."""

    FREEZE = "roll back and freeze"
    KEEP = "roll back, keep promoting"
    LIFT = "lift the freeze"
