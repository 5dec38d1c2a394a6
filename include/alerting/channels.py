"""Channels that messages go to, each an Apprise URL. A URL contains passwords and tokens: none is ever shown."""

from __future__ import annotations

import hashlib
import logging
import re
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from include.alerting.messages import Level, Message

CRITICAL = "critical+"
"""Before a URL: this channel gets critical incidents only, e.g. ``critical+pagerduty://...``."""
SECONDS = 30.0  # longest wait for a channel
ONE_OPERATION = 10.0  # seconds of one operation of the network, e.g. to connect
LOUD = ("urllib3", "requests", "requests_oauthlib", "oauthlib")
THREAD = "perennial-message"
UNREADABLE = "Apprise does not know this kind of address, or a part of it is missing"


@dataclass(frozen=True)
class Channel:
    """A channel.

    Attributes
    ----------
    id : the same for the same URL, and useless to guess a password with. ``name`` : for people; reveals nothing.
    only_critical : warnings and reports are not sent to it.
    """

    id: str
    name: str
    only_critical: bool
    _service: Any = field(repr=False)

    @property
    def readable(self) -> bool:
        """Whether Apprise knows such an address; if not, nothing can ever be sent to it."""
        return self._service is not None

    def send(self, message: Message) -> str | None:
        """Send a message; return why it was not accepted, or ``None`` if it was. Never raises, and takes `SECONDS`.

        An answer that gets lost looks like a message that was not accepted.
        """
        if self._service is None:
            return UNREADABLE
        answers: list[str | None] = []
        # In a thread, because no time-out of a socket ends a server that sends one byte a second. In one of our own,
        # because the threads of Apprise's pool do not survive the fork of a task. A daemon does not keep a task alive.
        sender = threading.Thread(
            target=lambda: answers.append(_send(self._service, message)), name=THREAD, daemon=True
        )
        sender.start()
        sender.join(SECONDS)
        return answers[0] if answers else f"it did not answer within {SECONDS:g} s"


def _send(service: Any, message: Message) -> str | None:
    import apprise

    kinds = {
        Level.CRITICAL: apprise.NotifyType.FAILURE,
        Level.WARNING: apprise.NotifyType.WARNING,
        Level.OVER: apprise.NotifyType.SUCCESS,
        Level.REPORT: apprise.NotifyType.INFO,
    }
    try:
        with _own_name():
            result = apprise.Apprise(service, asset=service.asset).notify(
                body=message.body,
                title=message.subject,
                notify_type=kinds[message.level],
                body_format=apprise.NotifyFormat.TEXT,
            )
    except Exception as problem:  # its text can contain the URL
        return f"it failed with {type(problem).__name__}"
    return None if result else _reason(result)


def channels_of(urls: Sequence[str]) -> list[Channel]:
    """The channels of the URLs of a connection, each once; several may be in one text, separated by blanks or lines."""
    addresses = dict.fromkeys(" ".join(urls).split())
    return [_channel(number, address) for number, address in enumerate(addresses, start=1)]


def _channel(number: int, address: str) -> Channel:
    import apprise

    url = address.removeprefix(CRITICAL)
    asset = apprise.AppriseAsset(
        app_id="Perennial",
        app_desc="Perennial",
        async_mode=False,  # one message after the other, without an event loop
        service_timeout=0,  # the time-out is that of `Channel.send`
        storage_mode=apprise.PersistentStoreMode.MEMORY,
        secure_logging=True,
    )
    _hide()
    service = apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)
    _hide()  # again, because Apprise imports what it needs for the address
    if service is not None:
        service.socket_connect_timeout = min(service.socket_connect_timeout, ONE_OPERATION)
        service.socket_read_timeout = min(service.socket_read_timeout, ONE_OPERATION)
        if "overflow=" not in url:  # one message, worst first, rather than sixty text messages about one night
            service.overflow_mode = apprise.OverflowMode.TRUNCATE
    return Channel(_identity(url), f"address {number} ({_shown(url, service)})", url != address, service)


def _identity(url: str) -> str:
    """A digest that is slow to compute, because the ledger keeps it and a URL can contain a short password."""
    return hashlib.scrypt(url.encode(), salt=b"perennial.delivery.channel", n=2**13, r=8, p=1, dklen=12).hex()


def _shown(url: str, service: Any) -> str:
    """The scheme and the host. The host only if it is one: in ``slack://token/...`` it is a part of the secret."""
    scheme, separator, _ = url.partition("://")
    if not separator or not re.fullmatch(r"[A-Za-z0-9+.-]{1,30}", scheme):
        return "not a URL"
    if service is None or not any("{host}" in template for template in service.templates) or not service.host:
        return scheme
    return f"{scheme}, {service.host}"


def _reason(result: Any) -> str:
    """Why a message was not accepted. Apprise's own texts can contain parts of the URL, so only a number is taken."""
    text = " ".join(str(entry.message) for one in result for attempt in one for entry in attempt)
    status = re.search(r"error[ =:]*([45]\d\d)\b", text)
    if status:
        return f"it answered {status.group(1)}"
    if re.search(r"connection|socket", text, re.IGNORECASE):
        return "it could not be reached, or it refused the connection"
    return "it did not accept the message"


class _NotOurs(logging.Filter):
    """Drops what a thread logs that sends a message."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.threadName != THREAD


_NOT_OURS = _NotOurs()


def _hide() -> None:
    """Keep URLs out of all logs: Apprise and the libraries below it log paths with tokens, e.g. at DEBUG.

    Apprise is used here only, so it logs nothing; its warnings still reach `_reason`, by a handler of its own. The
    libraries are used by others, too, so only their records from our threads are dropped.
    """
    own = logging.getLogger("apprise")
    own.propagate = False
    own.handlers = [one for one in own.handlers if isinstance(one, logging.NullHandler)] or [logging.NullHandler()]
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] in LOUD:
            logging.getLogger(name).addFilter(_NOT_OURS)


@contextmanager
def _own_name() -> Iterator[None]:
    """Greet mail servers without asking a name server for our own name.

    `smtplib` calls `socket.getfqdn` for its greeting, which can wait for minutes on a machine without a name server,
    and no time-out applies to it. Apprise has no parameter for the name. An address in brackets is what `smtplib`
    itself uses for a machine without a full name (RFC 5321, 4.1.4).
    """
    original = socket.getfqdn

    def own(name: str = "") -> str:
        mine = socket.gethostname()
        return original(name) if name else mine if "." in mine else "[127.0.0.1]"

    socket.getfqdn = own
    try:
        yield
    finally:
        socket.getfqdn = original
