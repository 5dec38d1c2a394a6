"""Sends the alerts that are due: one message for each channel and call, each alert at least once."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime

from include.alerting.channels import Channel, channels_of
from include.alerting.messages import compose
from include.records import Record
from include.registry.alerts import BACK_OFF, Alerts
from include.registry.incident_rows import IncidentKind, Seen, Severity
from include.registry.incidents import Incidents, Scope

log = logging.getLogger(__name__)

PREFIX = "alerts:"
"""How the causes of the incidents begin that are about the channels themselves (kind `IncidentKind.SERVICE`)."""
CHANNELS = Scope("", frozenset({IncidentKind.SERVICE}), PREFIX)


class Sent(Record):
    """What a call has sent.

    Attributes
    ----------
    messages : that were accepted, at most one for each channel.
    sent, failed, page : alerts that are settled now: accepted by a channel, given up by all, or for the page only.
    waiting : alerts that a later call tries again.
    problems : one sentence for each channel that did not accept its message.
    """

    messages: int = 0
    sent: int = 0
    failed: int = 0
    page: int = 0
    waiting: int = 0
    problems: tuple[str, ...] = ()

    def __str__(self) -> str:
        if not (self.sent or self.failed or self.page or self.waiting):
            return "No alert was due."
        parts = [f"{self.sent} sent in {self.messages} messages"] if self.sent or self.messages else []
        parts += [f"{self.page} on the page only, because no address is for them"] if self.page else []
        parts += [f"{self.waiting} to be tried again"] if self.waiting else []
        parts += [f"{self.failed} given up"] if self.failed else []
        return f"Alerts: {', '.join(parts)}." + "".join(f" {problem}" for problem in self.problems)


def send_due(urls: Sequence[str], now: datetime, web: str) -> Sent:
    """Send every alert that is due to every channel that it is for.

    A channel that does not accept its message is tried again by later calls, after 1 minute, then 5, and so on
    (`BACK_OFF`), while alerts that others have accepted are not sent to them again. If a channel is given up, an
    incident says so, which the other channels get. Several senders at once share the work. A sender that is killed
    after a channel accepted a message and before that is written down sends it again, with the same numbers.

    Parameters
    ----------
    urls : Apprise URLs; with `include.alerting.channels.CRITICAL` before it, a URL gets critical incidents only.
        Without any, alerts are settled as shown on the page.
    web : the address of Airflow's web server, for links.
    """
    outbox, incidents = Alerts.default(), Incidents.default()
    channels = channels_of(urls)
    due = outbox.waiting()
    messages, problems = 0, []
    given_up: dict[str, Seen] = {}
    accepted: set[str] = set()
    for channel in channels:
        with outbox.claimed(due, channel.id, channel.name, now, only_critical=channel.only_critical) as claim:
            if not claim.alerts:
                continue
            still = incidents.open() if any(one.event == "report" for one in claim.alerts) else ()
            message = compose(claim.alerts, still, web)
            error = channel.send(message)
            if error is None:
                claim.sent(now)
                messages += 1
                accepted.add(channel.id)
                continue
            lost = claim.failed(now, error, final=not channel.readable)
        problems.append(f"{channel.name}: {error}.")
        log.warning("%s did not accept the message %r: %s.", channel.name, message.subject, error)
        if lost:
            given_up[channel.id] = _silent(channel, error, lost, now)
    settled = outbox.settle(due, [channel.id for channel in channels], now)
    unsure = [("", IncidentKind.SERVICE, PREFIX + one.id) for one in channels if one.id not in accepted]
    incidents.observe(CHANNELS, list(given_up.values()), now, None, unsure)
    waiting = len(due) - sum(settled.values())
    sent = Sent(messages=messages, waiting=waiting, problems=tuple(problems), **settled)
    log.info("%s", sent)
    return sent


def queue_report(now: datetime) -> bool:
    """Queue the report of this day (UTC): the open incidents in one message. At most once a day; without any: not."""
    return Alerts.default().queue_report(now.astimezone(UTC).date().isoformat())


def _silent(channel: Channel, error: str, lost: int, now: datetime) -> Seen:
    return Seen(
        model="",
        kind=IncidentKind.SERVICE,
        cause=PREFIX + channel.id,
        severity=Severity.CRITICAL,
        since=f"{now.astimezone(UTC):%Y-%m-%d %H:%M} UTC",
        what=f"Messages about incidents do not arrive at {channel.name}",
        how_bad=f"{lost} alerts were given up after {len(BACK_OFF) + 1 if channel.readable else 1} tries: {error}.",
        done="Other channels and the Models page have them.",
        todo="Check this address in the Airflow connection perennial_alerts (or in the variable "
        "AIRFLOW_CONN_PERENNIAL_ALERTS), and the service that it belongs to.",
    )
