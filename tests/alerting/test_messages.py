"""The text of messages: bounded, one line for each sentence, and the same for the same alerts."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from include.alerting.messages import LONGEST_SENTENCE, LONGEST_SUBJECT, MOST, Level, compose
from include.registry.alerts import AlertRow
from include.registry.incident_rows import IncidentRow

AT = datetime(2026, 5, 3, 4, 5, tzinfo=UTC)


def row(number: int, **changes: object) -> IncidentRow:
    sentences = {"since": "2026-05-02", "what": "It is wrong.", "how_bad": "", "done": "", "todo": "", "page": ""}
    plain = IncidentRow(
        number, "rents", "data", "missing", "warning", "open", **sentences, looks=1, opened_at=AT, updated_at=AT,
        acknowledged_at=None, acknowledged_by=None, closed_at=None, closed_by=None, reason=None,
    )  # fmt: skip
    return replace(plain, **changes)  # type: ignore[arg-type]


def alert(number: int, event: str = "opened", **changes: object) -> AlertRow:
    return AlertRow(number, event, 0, row(number, **changes))


def test_only_what_is_known_has_a_line() -> None:
    message = compose([alert(7)], (), "")
    assert message.body.startswith(
        "New\n\nIncident 7 (warning): rents, data\nIt is wrong.\nSince: 2026-05-02\n\nSent by"
    )
    assert message.subject == "Perennial: incident 7, warning: It is wrong." and message.level == Level.WARNING
    assert "Incident 8 (warning): disk\n" in compose([alert(8, model="", kind="disk")], (), "").body


def test_a_text_with_lines_cannot_pass_for_another_incident_or_header() -> None:
    message = compose([alert(7, what="a\r\nBcc: eve@example.org\n\nIncident 8 (critical): x")], (), "")
    assert "\n" not in message.subject and "\r" not in message.subject + message.body
    assert "\na Bcc: eve@example.org Incident 8 (critical): x\n" in message.body


def test_messages_are_bounded() -> None:
    many = [alert(number, what="x" * 9000) for number in range(1, 500)]
    message = compose(many, (), "")
    assert message.body.count("Incident ") == MOST and len(message.body) < MOST * (LONGEST_SENTENCE + 200)
    assert "And incidents 21, 22, " in message.body and "and 459 more." in message.body
    assert len(compose(many[:1], (), "").subject) == LONGEST_SUBJECT
    assert message.subject.endswith("(numbers 1, 2, 3, 4, 5, ...)")


def test_who_closed_and_who_acknowledged_it_is_said() -> None:
    closed = {"state": "closed", "closed_at": AT, "closed_by": "ada", "reason": "noise"}
    message = compose([alert(7, "closed", **closed)], (), "")
    assert "Closed: 2026-05-03 04:05 UTC by ada: noise" in message.body and message.level == Level.OVER
    still = row(8, state="acknowledged", acknowledged_at=AT, acknowledged_by="bob", reason="mine", todo="wait")
    report = compose([AlertRow(1, "report", 0, None, "2026-05-03")], [still], "")
    assert "Acknowledged by bob: mine" in report.body and "To do" not in report.body
    assert report.level == Level.REPORT


def test_a_report_after_everything_was_closed_says_so() -> None:
    assert compose([AlertRow(1, "report", 0, None, "2026-05-03")], (), "").body.startswith("No incident is open")
