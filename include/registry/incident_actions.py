"""What a person can do about an incident. Imports nothing: a DAG file reads it at every parse."""

from enum import StrEnum


class IncidentAction(StrEnum):
    """``acknowledge``: a person takes care of it. ``close``: it is over, or will not be looked at further."""

    ACKNOWLEDGE = "acknowledge"
    CLOSE = "close"
