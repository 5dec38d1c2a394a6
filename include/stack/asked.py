"""The values typed after `make night`, `rollback` and `unfreeze`: texts that become values, or a clear error."""

from __future__ import annotations

from include.errors import ConfigurationError
from include.spec.bounds import LARGEST_SEED, LARGEST_VERSION, LONGEST_REASON, SHORTEST_REASON


def seed(text: str | None) -> int | None:
    """``SEED=``; ``None`` if it is not given.

    Raises
    ------
    ConfigurationError : not a whole number from 0 to `LARGEST_SEED`.
    """
    return _whole("SEED", text, 0, LARGEST_SEED)


def version(text: str | None) -> int | None:
    """``VERSION=``; ``None`` if it is not given.

    Raises
    ------
    ConfigurationError : not a whole number from 1 to `LARGEST_VERSION`.
    """
    return _whole("VERSION", text, 1, LARGEST_VERSION)


def force(text: str | None) -> bool:
    """``FORCE=1``; false if it is not given, empty or 0.

    Raises
    ------
    ConfigurationError : anything else.
    """
    if (text or "").strip() not in ("", "0", "1"):
        raise ConfigurationError(
            f"FORCE is {text!r}: give FORCE=1 to train even if nothing has changed, or leave it out."
        )
    return (text or "").strip() == "1"


def reason(text: str | None, command: str) -> str:
    """``REASON=``, which the audit keeps.

    Parameters
    ----------
    command : the command to type, as an example.

    Raises
    ------
    ConfigurationError : missing, too short or too long.
    """
    reason = " ".join((text or "").split())
    if not reason:
        raise ConfigurationError(f'REASON is missing: the audit records it. Type {command} REASON="..."')
    if not SHORTEST_REASON <= len(reason) <= LONGEST_REASON:
        raise ConfigurationError(f"REASON has {len(reason)} characters: give {SHORTEST_REASON} to {LONGEST_REASON}.")
    return reason


def _whole(name: str, text: str | None, least: int, most: int) -> int | None:
    digits = (text or "").strip()
    if not digits:
        return None
    if not (digits.isascii() and digits.isdigit() and len(digits) <= len(str(most)) and least <= int(digits) <= most):
        raise ConfigurationError(f"{name} is {text!r}: give a whole number from {least} to {most}.")
    return int(digits)
