"""Create a model folder from a table: read the table, infer the settings, write the files and a summary."""

from __future__ import annotations

import re
from datetime import date
from zoneinfo import ZoneInfo

from include import catalog
from include.authoring.findings import Findings, Request, Role
from include.authoring.leaks import settle_leaks
from include.authoring.opening import open_source
from include.authoring.reading import read
from include.authoring.rhythm import settle_rhythm
from include.authoring.roles import settle_key, settle_roles
from include.authoring.summary import summary
from include.authoring.target import settle_target
from include.authoring.writing import places, require_free, write
from include.errors import ConfigurationError
from include.partitions import utc_now

NAME = re.compile(r"^[a-z][a-z0-9_]{1,49}$")


def new_model(request: Request, today: date | None = None) -> str:
    """Write the folder and its test, and return the summary for the user.

    Parameters
    ----------
    today : the date to which the replay of a finished history is aligned; None: the current date.

    Raises
    ------
    ConfigurationError : a name, source or column cannot be used, or a file exists already.
    DataError : the data is not sufficient for a valid model; the message shows what is needed.
    """
    _check(request)
    folder, test = places(request.name, request.into)
    require_free(folder, test)
    found = infer(request, today or utc_now().astimezone(ZoneInfo(request.timezone)).date())
    folder, test = write(found)
    return summary(found, folder, test)


def infer(request: Request, today: date) -> Findings:
    """Infer all settings that do not need an answer from the user."""
    source, connections = open_source(request)
    found = read(request, source, connections, today)
    settle_target(found)
    settle_roles(found)
    settle_leaks(found)
    settle_key(found)
    if not found.of(Role.FEATURE, Role.MANY, Role.AGE):
        found.say("Look at", "No column is known before the event: the only features are hour and weekday.")
    settle_rhythm(found, today)
    return found


def _check(request: Request) -> None:
    wanted = {"NAME": request.name, "SOURCE": request.source, "TARGET": request.target, "TIME": request.time}
    if absent := [argument for argument, value in wanted.items() if not value]:
        raise ConfigurationError(
            f"{', '.join(absent)} {'is' if len(absent) == 1 else 'are'} missing: make new-model NAME=late_orders "
            "SOURCE=orders.csv TARGET=late TIME=ordered_at"
        )
    if not NAME.match(request.name):
        raise ConfigurationError(
            f"NAME={request.name!r} is not a model name: use lower-case letters, digits and _, with a letter first, "
            "e.g. late_orders."
        )
    if request.name in catalog.folders():
        raise ConfigurationError(f"there is a model {request.name!r} already, in {catalog.folders()[request.name]}.")
    try:
        ZoneInfo(request.timezone)
    except (KeyError, ValueError, OSError):  # unknown name, invalid name, name of a folder
        raise ConfigurationError(
            f"TIMEZONE={request.timezone} is not an IANA timezone, e.g. UTC or Europe/Berlin."
        ) from None
