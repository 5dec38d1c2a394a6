"""The ledger on a real PostgreSQL: compare-and-set, audit, migrations, and errors without secrets."""

from __future__ import annotations

import threading
import time
import uuid
from collections import Counter
from datetime import UTC
from typing import Any

import pytest
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from include.errors import ConfigurationError, ConflictError, IntegrityError, ReleaseError, TransientError
from include.registry import schema
from include.registry.ledger import Ledger
from tests.services import Services

DIGEST = {n: str(n) * 64 for n in range(1, 10)}


def add(ledger: Ledger, model: str, *numbers: int) -> None:
    for n in numbers:
        ledger.add_version(
            model, n, run_id=f"r{n}", candidate="boosting", recipe={"seed": 0, "window_days": 60}, twin="t",
            twin_first="2026-01-01", twin_last="2026-03-01", metrics={"log_loss": 0.494},
        )  # fmt: skip
        ledger.set_bundle(model, n, DIGEST[n])


def decide(ledger: Ledger, model: str, run_id: str, verdict: str, version: int | None, **rest: Any) -> Any:
    recorded: dict[str, Any] = {"reason": "because", "parameters": {"note": "x"}, "code_digest": "c", **rest}
    return ledger.record_decision(
        model,
        run_id,
        as_of="2026-05-03",
        verdict=verdict,
        version=version,
        snapshot_digest="s",
        checks=[{"n": 1}],
        **recorded,
    )


def test_versions_are_recorded_once_and_read_back(ledger: Ledger, model: str) -> None:
    add(ledger, model, 1, 2)
    add(ledger, model, 1)  # a retry
    one, two = sorted(ledger.versions(model), key=lambda row: row.version)
    assert one == ledger.version(model, 1)
    assert (one.state, one.bundle, one.recipe, one.metrics) == (
        "packaged", DIGEST[1], {"seed": 0, "window_days": 60}, {"log_loss": 0.494},
    )  # fmt: skip
    assert one.created_at.tzinfo is UTC and one.created_at < two.created_at
    assert one.as_dict()["created_at"].endswith("+00:00")
    assert [row.action for row in ledger.history(model)] == ["register", "package"] * 2


def test_a_version_of_another_run_is_refused(ledger: Ledger, model: str) -> None:
    add(ledger, model, 1)
    recorded = {"candidate": "c", "recipe": {}, "twin": "t", "twin_first": "a", "twin_last": "b", "metrics": {}}
    with pytest.raises(IntegrityError, match="that version from run 'r1'"):
        ledger.add_version(model, 1, run_id="other", **recorded)  # type: ignore[arg-type]
    with pytest.raises(IntegrityError, match="that run as version 1"):
        ledger.add_version(model, 2, run_id="r1", **recorded)  # type: ignore[arg-type]


def test_promote_is_compare_and_set_with_its_audit_row(ledger: Ledger, model: str) -> None:
    add(ledger, model, 1, 2)
    assert ledger.champion(model) is None and ledger.standing(model).epoch == 0
    assert ledger.promote(model, 1, DIGEST[1], 0, "perennial", "r1", "first") == 1
    assert ledger.promote(model, 1, DIGEST[1], 0, "perennial", "r1", "first") == 1  # a retry
    with pytest.raises(ConflictError, match="expected epoch 0, found 1"):
        ledger.promote(model, 2, DIGEST[2], 0, "perennial", "r2", "second")
    assert ledger.promote(model, 2, DIGEST[2], 1, "perennial", "r2", "second") == 2
    champion = ledger.champion(model)
    assert champion and (champion.version, champion.digest, champion.epoch, champion.run_id) == (2, DIGEST[2], 2, "r2")
    assert {row.version: row.state for row in ledger.versions(model)} == {1: "retired", 2: "champion"}
    moves = [
        (a.actor, a.action, a.version, a.from_version, a.epoch, a.reason) for a in ledger.history(model) if a.epoch
    ]
    assert moves == [("perennial", "promote", 1, None, 1, "first"), ("perennial", "promote", 2, 1, 2, "second")]


def test_a_refused_promotion_changes_nothing(ledger: Ledger, model: str) -> None:
    add(ledger, model, 1)
    before = ledger.history(model)
    for version, digest, problem in ((1, DIGEST[2], "has bundle 111"), (7, DIGEST[7], "no version 7 .* newest are 1")):
        with pytest.raises(ReleaseError, match=problem):
            ledger.promote(model, version, digest, 0, "ada", "x", "y")
    decide(ledger, model, "r1", "reject", 1)
    with pytest.raises(ReleaseError, match="is rejected: it is not promoted automatically"):
        ledger.promote(model, 1, DIGEST[1], 0, "perennial", "x", "y")
    assert ledger.standing(model).epoch == 0
    assert [row for row in ledger.history(model) if row.action != "decide"] == before


def test_exactly_one_of_many_threads_wins_each_epoch(ledger: Ledger, model: str) -> None:
    add(ledger, model, 1, 2, 3, 4)
    barrier = threading.Barrier(8)
    results: list[str] = []

    def work(n: int) -> None:
        barrier.wait()
        try:
            ledger.promote(model, 1 + n % 4, DIGEST[1 + n % 4], 0, "ada", f"run-{n}", "race")
            results.append("won")
        except ConflictError:
            results.append("lost")

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(results) == {"won": 1, "lost": 7}
    assert ledger.standing(model).epoch == 1
    assert len([row for row in ledger.history(model) if row.action == "promote"]) == 1


def test_the_bundle_of_a_version_that_has_served_does_not_change(ledger: Ledger, model: str) -> None:
    add(ledger, model, 1)
    ledger.set_bundle(model, 1, DIGEST[5])
    ledger.promote(model, 1, DIGEST[5], 0, "ada", "r1", "first")
    with pytest.raises(ReleaseError, match="never changes its bundle"):
        ledger.set_bundle(model, 1, DIGEST[1])


def test_each_run_has_one_decision_and_the_newest_is_found(ledger: Ledger, model: str) -> None:
    add(ledger, model, 1, 2)
    assert ledger.last_decision(model) is None
    decide(ledger, model, "r1", "reject", 1)
    decide(ledger, model, "r2", "hold", 2)
    assert decide(ledger, model, "r1", "reject", 1) == ledger.last_decision(model)
    decide(ledger, model, "r2", "promote", 2, reason="better")
    last = ledger.last_decision(model)
    assert last and (last.run_id, last.verdict, last.reason, last.checks) == ("r2", "promote", "better", [{"n": 1}])
    assert {row.version: row.state for row in ledger.versions(model)} == {1: "rejected", 2: "packaged"}
    assert [a.reason for a in ledger.history(model) if a.action == "decide"] == [
        "reject: because", "hold: because", "promote: better",
    ]  # fmt: skip


def test_past_champions_are_an_undo_stack(ledger: Ledger, model: str) -> None:
    add(ledger, model, 1, 2, 3, 4)

    def serve(version: int, action: str = "promote", **rest: Any) -> None:
        epoch = ledger.standing(model).epoch
        ledger.promote(model, version, DIGEST[version], epoch, "ada", f"x{epoch}", "y", action, **rest)

    def past() -> list[int]:
        return [row.version for row in ledger.past_champions(model)]

    for version in (1, 2, 3):
        serve(version)
    assert past() == [2, 1]
    serve(2, "rollback")
    assert past() == [1]
    serve(4)
    assert past() == [2, 1]
    serve(2, "restore", old_state="failed")
    assert past() == [1]
    assert ledger.previous_champion(model).version == 1  # type: ignore[union-attr]
    serve(1)
    assert past() == [2]
    ledger.withdraw(model, ledger.standing(model).epoch, "ada", "w", "bad")
    assert past() == [2]


def test_a_withdrawn_model_keeps_its_epoch(ledger: Ledger, model: str) -> None:
    add(ledger, model, 1, 2)
    ledger.promote(model, 1, DIGEST[1], 0, "ada", "r1", "first")
    with pytest.raises(ConflictError):
        ledger.withdraw(model, 0, "ada", "r1", "bad")
    assert ledger.withdraw(model, 1, "ada", "r1", "bad") == 2 == ledger.withdraw(model, 1, "ada", "r1", "bad")
    assert ledger.champion(model) is None and ledger.version(model, 1).state == "failed"  # type: ignore[union-attr]
    assert ledger.promote(model, 2, DIGEST[2], 2, "ada", "r2", "second") == 3


def test_freezing_twice_is_one_transition(ledger: Ledger, model: str) -> None:
    ledger.freeze(model, "ada", "looking")
    assert ledger.freeze(model, "bob", "me too").frozen_reason == "looking"
    assert not ledger.unfreeze(model, "ada", "done").frozen
    ledger.unfreeze(model, "ada", "done")
    assert [(a.actor, a.action) for a in ledger.history(model)] == [("ada", "freeze"), ("ada", "unfreeze")]


def test_the_projection_lock_excludes_and_does_not_block_transitions(ledger: Ledger, model: str) -> None:
    add(ledger, model, 1)
    order: list[str] = []

    def second() -> None:
        with ledger.locked(model):
            order.append("second")

    with ledger.locked(model):
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.2)
        ledger.promote(model, 1, DIGEST[1], 0, "ada", "r1", "first")
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE perennial.audit SET actor = 'nobody' WHERE model = :model",
        "DELETE FROM perennial.audit WHERE model = :model",
        "TRUNCATE perennial.audit",
        "UPDATE perennial.champion SET epoch = 0 WHERE model = :model",
        "UPDATE perennial.champion SET version = 2, digest = 'x' WHERE model = :model",
        "DELETE FROM perennial.champion WHERE model = :model",
        "UPDATE perennial.version SET state = 'champion' WHERE model = :model",
    ],
)
def test_the_database_itself_refuses_to_rewrite_history(
    ledger: Ledger, model: str, services: Services, statement: str
) -> None:
    add(ledger, model, 1, 2)
    ledger.promote(model, 1, DIGEST[1], 0, "ada", "r1", "first")
    engine = create_engine(services.database_url, poolclass=NullPool)
    with pytest.raises(SQLAlchemyError), engine.begin() as connection:
        connection.execute(text(statement), {"model": model})


def test_tables_in_code_equal_those_of_the_database(ledger: Ledger, services: Services) -> None:
    found = inspect(create_engine(services.database_url, poolclass=NullPool))
    assert set(found.get_table_names("perennial")) == {t.name for t in schema.metadata.tables.values()} | {
        "schema_version"
    }
    for table in schema.metadata.tables.values():
        columns = {c["name"]: c["type"].__class__.__name__.upper() for c in found.get_columns(table.name, "perennial")}
        assert columns == {
            c.name: {"DATETIME": "TIMESTAMP", "BIGINTEGER": "BIGINT"}.get(
                name := c.type.__class__.__name__.upper(), name
            )
            for c in table.columns
        }


def test_many_processes_migrate_at_once_and_later_migrations_apply(services: Services) -> None:
    url = services.new_database(f"m{uuid.uuid4().hex[:8]}")
    with pytest.raises(ConfigurationError, match=r"no ledger yet. Call Ledger.migrate\(\)"):
        Ledger(url).standing("m1")
    numbers: list[int] = []
    threads = [threading.Thread(target=lambda: numbers.append(Ledger(url).migrate())) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    newest = schema.MIGRATIONS[-1][0]
    assert numbers == [newest] * 6
    engine = create_engine(url, poolclass=NullPool)
    later = (
        *schema.MIGRATIONS,
        (newest + 1, "CREATE TABLE perennial.approval (id int); INSERT INTO perennial.approval VALUES (1);"),
    )
    assert schema.migrate(engine, later) == newest + 1 == schema.migrate(engine, later)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM perennial.approval")).scalar_one() == 1
        assert connection.execute(
            text("SELECT array_agg(number ORDER BY number) FROM perennial.schema_version")
        ).scalar_one() == list(range(1, newest + 2))
    with pytest.raises(ConfigurationError, match=f"at version {newest + 1} and this code knows {newest}"):
        Ledger(url).migrate()


def test_errors_name_the_database_without_its_password() -> None:
    ledger = Ledger("postgresql://ada:s3cret@127.0.0.1:9/perennial")
    assert "s3cret" not in repr(ledger)
    with pytest.raises(TransientError, match="read the standing of m1.*did not answer") as error:
        ledger.standing("m1")
    chain = f"{error.value!r} {error.value.__cause__!r}"
    assert "s3cret" not in chain and "ada:***@127.0.0.1:9" in chain
    for wrong in ("sqlite:///x.db", "mysql://ada:s3cret@x/y", "s3cret"):
        with pytest.raises(ConfigurationError) as refused:
            Ledger(wrong)
        assert "s3cret" not in str(refused.value)
