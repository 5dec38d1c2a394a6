"""A ledger of its own for each test, because an outbox belongs to a whole deployment."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from include.registry.incidents import Incidents
from tests.alerting.servers import Mailbox, Webhook, mail_server, webhook
from tests.services import Services, shared


@pytest.fixture
def services(pytestconfig: pytest.Config) -> Services:
    return shared(pytestconfig)


@pytest.fixture
def url(services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    address = services.new_ledger()
    for name, value in {"PERENNIAL_DATABASE_URL": address, "PERENNIAL_HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    return address


@pytest.fixture
def incidents(url: str) -> Incidents:
    return Incidents(url)


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with webhook() as kept:
        yield kept


@pytest.fixture
def mail() -> Iterator[Mailbox]:
    with mail_server() as kept:
        yield kept
