"""Alerts arrive at a real mail server and a real webhook: at least once, grouped, and without a secret in any log."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from include.alerting import channels
from include.alerting.alerts import CHANNELS, Sent, queue_report, send_due
from include.registry.alerts import BACK_OFF
from include.registry.incident_rows import IncidentKind, Seen, Severity
from include.registry.incidents import Incidents, Scope
from tests.alerting.servers import PASSWORD, TOKEN, Mailbox, Webhook, silent_server, webhook

WEB = "http://perennial.example.org:8080"
NOW = datetime(2026, 5, 3, 6, tzinfo=UTC)
SCOPE = Scope(None, frozenset({IncidentKind.DATA, IncidentKind.DISK}))


def after(minutes: float) -> datetime:
    return NOW + timedelta(minutes=minutes)


def seen(cause: str = "missing:price", severity: Severity = Severity.CRITICAL) -> Seen:
    return Seen(
        model="rent_prices",
        kind=IncidentKind.DATA,
        cause=cause,
        severity=severity,
        since="2026-05-02",
        what=f"More than the limit is wrong: {cause}",
        how_bad="41 % of the rows, and the limit is 3 %",
        done="The day was published, and nothing was retrained.",
        todo="Ask the source.",
        page="/perennial/rent_prices",
    )


def rows(url: str, query: str) -> list[tuple[object, ...]]:
    with create_engine(url, poolclass=NullPool).connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def outcomes(url: str) -> list[tuple[object, ...]]:
    return rows(url, "SELECT event, outcome FROM perennial.alert ORDER BY id")


def test_each_channel_gets_one_message_about_an_incident_and_one_at_its_end(
    incidents: Incidents, url: str, mail: Mailbox, hook: Webhook
) -> None:
    urls = [mail.url, hook.url]
    (opened,) = incidents.observe(SCOPE, [seen()], NOW, "night").opened
    assert send_due(urls, NOW, WEB) == Sent(messages=2, sent=1)
    incidents.observe(SCOPE, [seen()], after(10), "next")
    assert send_due(urls, after(10), WEB) == Sent()
    incidents.observe(SCOPE, [], after(20), "last")
    assert send_due(urls, after(20), WEB) == Sent(messages=2, sent=1)
    assert send_due(urls, after(30), WEB) == Sent()
    titles = [
        f"Perennial: incident {opened.number}, {how}: More than the limit is wrong: missing:price"
        for how in ("critical", "over")
    ]
    assert hook.accepted() == [one["Subject"] for one in mail.received] == titles
    assert [one["type"] for one in hook.received] == ["failure", "success"]
    for first in (hook.received[0]["message"], mail.text(0)):
        for said in (
            f"Incident {opened.number} (critical): rent_prices, data",
            "Since: 2026-05-02",
            "How bad: 41 % of the rows, and the limit is 3 %",
            "Done: The day was published, and nothing was retrained.",
            "To do: Ask the source.",
            f"Page: {WEB}/perennial/rent_prices",
        ):
            assert said in first
    assert "by a later look: no longer found" in mail.text(1)
    assert outcomes(url) == [("opened", "sent"), ("closed", "sent")]


def test_what_is_due_at_once_is_one_message_with_the_worst_first(incidents: Incidents, hook: Webhook) -> None:
    found = [seen("a", Severity.WARNING), seen("b"), seen("c", Severity.WARNING)]
    numbers = {row.cause: row.number for row in incidents.observe(SCOPE, found, NOW, "night").opened}
    assert send_due([hook.url], NOW, WEB) == Sent(messages=1, sent=3)
    (message,) = hook.received
    order = ", ".join(str(numbers[cause]) for cause in "bac")
    assert message["title"] == f"Perennial: 3 incidents new or worse (1 critical) (numbers {order})"
    assert message["type"] == "failure"
    incidents.observe(SCOPE, [seen("a"), seen("d", Severity.WARNING)], after(10), "next")
    send_due([hook.url], after(10), WEB)
    second = hook.received[1]["message"]
    assert second.index("New\n") < second.index("Worse\n") < second.index("Over\n")


def test_one_that_is_over_before_it_was_sent_is_one_message(incidents: Incidents, hook: Webhook) -> None:
    incidents.observe(SCOPE, [seen()], NOW, "night")
    incidents.observe(SCOPE, [], after(1), "next")
    assert send_due([hook.url], after(2), WEB) == Sent(messages=1, sent=2)
    assert [one["message"].split("\n")[0] for one in hook.received] == ["Over"]


def test_a_sender_that_was_killed_repeats_the_message_with_the_same_number(
    incidents: Incidents, url: str, hook: Webhook
) -> None:
    """Killed between the channel's acceptance and the ledger's note, in a forked process, as tasks are."""
    incidents.observe(SCOPE, [seen()], NOW, "night")
    child: list[int] = []
    started = threading.Event()

    def kill() -> None:
        started.wait(30)
        os.kill(child[0], signal.SIGKILL)

    hook.before = kill
    pid = os.fork()
    if not pid:
        send_due([hook.url], NOW, WEB)
        os._exit(0)
    child.append(pid)
    started.set()
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status) and len(hook.received) == 1
    hook.before = lambda: None
    deadline = time.monotonic() + 60  # until the database has noticed
    while send_due([hook.url], NOW, WEB).messages == 0 and time.monotonic() < deadline:
        time.sleep(0.1)
    first, second = hook.received
    assert first == second and outcomes(url) == [("opened", "sent")]
    assert send_due([hook.url], NOW, WEB) == Sent() and len(hook.received) == 2


def test_two_senders_at_once_send_one_message(incidents: Incidents, url: str, hook: Webhook) -> None:
    incidents.observe(SCOPE, [seen()], NOW, "night")
    arrived, goes_on = threading.Event(), threading.Event()
    answers: list[Sent] = []

    def wait() -> None:
        arrived.set()
        goes_on.wait(30)

    hook.before = wait
    first = threading.Thread(target=lambda: answers.append(send_due([hook.url], NOW, WEB)))
    first.start()
    assert arrived.wait(30)
    assert send_due([hook.url], NOW, WEB) == Sent(waiting=1)
    goes_on.set()
    first.join(60)
    assert answers == [Sent(messages=1, sent=1)] and len(hook.received) == 1


def test_a_channel_that_fails_is_tried_again_and_the_others_are_not(
    incidents: Incidents, url: str, hook: Webhook
) -> None:
    incidents.observe(SCOPE, [seen()], NOW, "night")
    with webhook() as broken:
        urls = [hook.url, broken.url]
        broken.status = 503
        sent = send_due(urls, NOW, WEB)
        assert (sent.messages, sent.waiting) == (1, 1)
        assert sent.problems == ("address 2 (json, 127.0.0.1): it answered 503.",)
        assert send_due(urls, NOW, WEB) == Sent(waiting=1)  # not yet
        broken.status = 200
        assert send_due(urls, NOW + BACK_OFF[0], WEB) == Sent(messages=1, sent=1)
        assert hook.accepted() == broken.accepted() and len(hook.received) == 1
    assert outcomes(url) == [("opened", "sent")]


def test_a_channel_that_is_given_up_is_an_incident_until_it_works_again(
    incidents: Incidents, url: str, hook: Webhook
) -> None:
    incidents.observe(SCOPE, [seen()], NOW, "night")
    with webhook() as broken:
        broken.status = 404
        urls, now = [hook.url, broken.url], NOW
        for pause in (timedelta(0), *BACK_OFF):
            assert [row.kind for row in incidents.open()] == ["data"]
            now += pause
            send_due(urls, now, WEB)
        assert outcomes(url)[0] == ("opened", "sent")  # by the other channel
        (silent,) = (row for row in incidents.open() if row.kind == "service")
        assert silent.what == "Messages about incidents do not arrive at address 2 (json, 127.0.0.1)"
        assert f"given up after {len(BACK_OFF) + 1} tries: it answered 404" in silent.how_bad
        send_due(urls, now, WEB)
        assert hook.accepted()[-1] == f"Perennial: incident {silent.number}, critical: {silent.what}"
        broken.status = 200
        now += BACK_OFF[0]
        send_due(urls, now, WEB)
        assert [row.kind for row in incidents.open()] == ["data"] and len(broken.received) == 1


def test_the_incident_of_an_address_that_was_removed_is_over(incidents: Incidents, hook: Webhook) -> None:
    incidents.observe(SCOPE, [seen()], NOW, "night")
    sent = send_due([hook.url, "hipchat://x"], NOW, WEB)
    assert (sent.messages, sent.sent) == (1, 1)
    assert [row.kind for row in incidents.open()] == ["data", "service"]
    assert send_due([hook.url, "hipchat://x"], after(1), WEB).problems != ()
    assert [row.kind for row in incidents.open()] == ["data", "service"]
    send_due([hook.url], after(2), WEB)
    assert [row.kind for row in incidents.open()] == ["data"]


def test_without_a_channel_alerts_are_on_the_page_only(incidents: Incidents, url: str, hook: Webhook) -> None:
    incidents.observe(SCOPE, [seen()], NOW, "night")
    assert send_due([], NOW, WEB) == Sent(page=1)
    assert outcomes(url) == [("opened", "page")]
    assert send_due([hook.url], after(1), WEB) == Sent() and hook.received == []


def test_a_channel_for_critical_incidents_gets_no_warning(incidents: Incidents, url: str, hook: Webhook) -> None:
    urls = [f"{channels.CRITICAL}{hook.url}"]
    warning = seen("a", Severity.WARNING)
    incidents.observe(SCOPE, [warning, seen("b")], NOW, "night")
    queue_report(NOW)
    assert send_due(urls, NOW, WEB) == Sent(messages=1, sent=1, page=2)
    incidents.observe(SCOPE, [seen("a"), seen("b")], after(1), "next")
    assert send_due(urls, after(1), WEB) == Sent(messages=1, sent=1)
    assert [": b" in hook.received[0]["message"], ": a" in hook.received[0]["message"]] == [True, False]
    assert "Worse" in hook.received[1]["message"] and ", now critical: " in hook.accepted()[1]


def test_the_report_of_a_day_lists_open_incidents_once(incidents: Incidents, hook: Webhook) -> None:
    assert not queue_report(NOW)  # nothing is open
    incidents.observe(SCOPE, [seen("a"), seen("b")], NOW, "night")
    send_due([hook.url], NOW, WEB)
    assert queue_report(after(10)) and not queue_report(after(20))
    assert send_due([hook.url], after(20), WEB) == Sent(messages=1, sent=1)
    report = hook.received[1]
    assert report["title"].startswith("Perennial: 2 still open (numbers ") and report["type"] == "info"
    assert report["message"].startswith("Still open\n\nIncident ")
    assert queue_report(after(24 * 60))


def test_no_secret_is_in_a_log_or_in_the_ledger(
    incidents: Incidents, url: str, hook: Webhook, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("apprise", *channels.LOUD):
        caplog.set_level(logging.DEBUG, logger=name)
    hook.status = 500
    host = hook.url.removeprefix("json://").partition("/")[0]
    urls = [
        hook.url,
        f"mailtos://ada:{PASSWORD}@127.0.0.1:9/?from=ada@example.org&to=team@example.org",
        f"jsons://ada:{PASSWORD}@127.0.0.1:9/{TOKEN}",
        f"slack://{TOKEN}",
        f"nonsense://{TOKEN}/{PASSWORD}",
        f"{TOKEN}/{PASSWORD}",
        f"https://{host}/{TOKEN}",
    ]
    incidents.observe(SCOPE, [seen()], NOW, "night")
    sent = send_due(urls, NOW, WEB)
    send_due(urls, after(60), WEB)
    names = ("json, 127.0.0.1", "mailtos, 127.0.0.1", "jsons, 127.0.0.1", "slack", "nonsense", "not a URL")
    assert [problem.split(")")[0].split("(")[1] for problem in sent.problems[:6]] == list(names)
    kept = rows(url, "SELECT d.*, i.* FROM perennial.delivery d CROSS JOIN perennial.incident i")
    for said in (caplog.text, str(sent), str(sent.as_dict()), str(kept), repr(channels.channels_of(urls))):
        assert TOKEN not in said and PASSWORD not in said and TOKEN[:8] not in said and "team@" not in said
    assert "address 1 (json, 127.0.0.1)" in caplog.text


def test_a_mail_is_sent_without_asking_a_name_server_for_our_name(
    incidents: Incidents, mail: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def ask(name: str = "") -> str:
        asked.append(name)
        return "asked"

    monkeypatch.setattr(socket, "getfqdn", ask)
    monkeypatch.setattr(socket, "gethostname", lambda: "box")
    incidents.observe(SCOPE, [seen()], NOW, "night")
    assert send_due([mail.url], NOW, WEB) == Sent(messages=1, sent=1)
    assert mail.greetings == ["[127.0.0.1]"] and asked == []
    assert socket.getfqdn() == "asked"  # as before


def test_a_server_that_never_answers_ends_in_a_reason(
    incidents: Incidents, hook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channels, "ONE_OPERATION", 0.2)
    incidents.observe(SCOPE, [seen()], NOW, "night")
    with silent_server() as silent:
        sent = send_due([silent, hook.url], NOW, WEB)
    assert sent.problems == ("address 1 (json, 127.0.0.1): it could not be reached, or it refused the connection.",)
    assert len(hook.received) == 1


def test_a_server_that_answers_byte_by_byte_is_left_after_a_while(
    incidents: Incidents, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channels, "SECONDS", 0.3)
    incidents.observe(SCOPE, [seen()], NOW, "night")
    with silent_server() as silent:
        assert send_due([silent], NOW, WEB).problems == (
            "address 1 (json, 127.0.0.1): it did not answer within 0.3 s.",
        )


def test_a_look_of_another_scope_does_not_close_the_incident_of_a_channel(incidents: Incidents) -> None:
    incidents.observe(SCOPE, [seen()], NOW, "night")
    send_due(["hipchat://x"], NOW, WEB)
    others = Scope(None, CHANNELS.kinds, "server")
    assert incidents.observe(others, [], after(1), None).closed == ()
