"""The audit of payout and notify, whose rows are made by the real services: nothing is wrong, and then one row is."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from salur.inside.audit import AuditResult, Kind, verify
from salur.inside.connect import Settings
from services.notify.domain.states import Fact
from services.notify.progress import Report, apply
from shared.events import EligibilityDecided, Event
from shared.events.topics import STAGES, Service
from shared.postgres import migrate, open_pool
from shared.privacy import keyfile
from shared.runtime.emit import Outbox
from tests.integration import notify_desk, paying
from tests.integration.paying import FAST_SIMULATOR, HONEST, desk_on
from tests.integration.running_simulator import running
from tests.integration.toy import AT, empty_topics, settings_for


class Books:
    """A database of all stages whose eligibility has emitted what the desk under test was handed."""

    def __init__(self, kafka: str, database: str, keys: Path) -> None:
        self.database = database
        self.keys = keys
        self.settings = settings_for(kafka, database, keys)

    async def prepare(self) -> None:
        await empty_topics(self.settings)
        for stage in STAGES:
            await migrate(self.database, stage)

    async def emit(self, events: Sequence[Event[EligibilityDecided]], partitions: int) -> None:
        """Puts them in eligibility's outbox, in this order: an audit reads them there."""
        pool = await open_pool(self.database, "eligibility")
        async with Outbox("eligibility", pool, partitions).transaction() as transaction:
            transaction.emit(events)
        await pool.close()

    async def audited(self, stage: Service) -> AuditResult:
        """What is said of this stage; eligibility itself has no rows here."""
        settings = Settings(kafka=self.settings.kafka, postgres=self.settings.postgres, keys=self.keys)
        result = await verify(settings, ("eligibility", stage))
        result.findings = [finding for finding in result.findings if finding.stage == stage]
        result.stages = [one for one in result.stages if one.stage == stage]
        return result

    async def falsify(self, stage: Service, sql: str) -> None:
        """As the tables' owner, who has switched all triggers off."""
        connection = await asyncpg.connect(self.database, server_settings={"search_path": stage})
        try:
            guarded = "SELECT DISTINCT event_object_table FROM information_schema.triggers WHERE trigger_schema = $1"
            for (table,) in await connection.fetch(guarded, stage):
                await connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
            assert not (await connection.execute(sql)).endswith(" 0")
        finally:
            await connection.close()


@pytest.fixture
async def books(kafka: str, database: str, tmp_path: Path) -> Books:
    made = Books(kafka, database, tmp_path / "keys.json")
    await made.prepare()
    return made


@pytest.fixture
async def paid(books: Books, tmp_path: Path) -> Books:
    """Two cycles' worth of everything: paid, queued, failed for want of an account, cancelled, a second attempt."""
    async with (
        desk_on(books.database, books.keys, orders_a_call=20) as desk,
        running("bank", tmp_path / "bank", *HONEST, *FAST_SIMULATOR) as bank,
    ):
        desk.connect(bank.url)
        await desk.open_cycle(1_000_000)
        first = [desk.decision(n, account=n != 3) for n in range(1, 8)]
        first.append(desk.decision(8, eligible=False))
        second = [desk.decision(3, revision=2, waiting=0), desk.decision(2, revision=2, eligible=False)]
        await books.emit([*first, *second], partitions=1)
        await desk.decide(*first)
        await desk.sweep_all()
        await desk.decide(*second)
        await desk.sweep_all()
        while await desk.bank.pay():
            pass
        assert {"confirmed", "queued", "cancelled"} <= set((await desk.states()).values())
    return books


async def test_the_books_of_payout_are_right(paid: Books) -> None:
    result = await paid.audited("payout")
    assert result.findings == []
    tables = {table.table: table.agreeing for table in result.stages[0].tables}
    assert tables["decision"] == 8
    assert tables["payout"] >= 7
    assert tables["transfer (post)"] >= 4
    assert tables["payout and past_attempt (failed)"] == 1
    assert tables["cycle (approved)"] == 1


ONE = paying.recipient(1)


@pytest.mark.parametrize(
    ("sql", "tables"),
    [
        (f"UPDATE decision SET amount_idr = 900000 WHERE recipient_id = '{ONE}'", {"decision"}),
        (f"UPDATE decision SET payment = 'x' WHERE recipient_id = '{ONE}'", {"decision"}),
        ("UPDATE cycle SET approved_by = 'Citra'", {"cycle (approved)"}),
        (f"UPDATE payout SET bank_reference = 'x' WHERE recipient_id = '{ONE}'", {"payout"}),
        (f"UPDATE payout SET amount_idr = 1 WHERE recipient_id = '{ONE}'", {"payout", "transfer, account, payout"}),
        (f"UPDATE transfer SET amount_idr = 1 WHERE recipient_id = '{ONE}' AND kind = 'reserve'",
         {"transfer (reserve)", "transfer, account, payout"}),
        (f"DELETE FROM transfer WHERE recipient_id = '{ONE}' AND kind = 'post'",
         {"transfer (post)", "transfer, account, payout"}),
        ("UPDATE account SET balance_idr = balance_idr + 1 WHERE name = 'budget'", {"transfer, account, payout"}),
        ("UPDATE past_attempt SET code = 'x'", {"payout and past_attempt (failed)"}),
    ],
)  # fmt: skip
async def test_one_row_of_the_money(paid: Books, sql: str, tables: set[str]) -> None:
    await paid.falsify("payout", sql)
    result = await paid.audited("payout")
    assert {finding.table for finding in result.findings} == tables
    assert all(finding.key for finding in result.findings)


@pytest.fixture
async def messages(books: Books) -> Books:
    keyfile.create(books.keys)
    async with notify_desk.open_desk(books.database, books.keys) as desk:
        events = [desk.decided(n) for n in range(1, 6)]
        await books.emit(events, partitions=notify_desk.PARTITIONS)
        await desk.hand(events)
        await books.falsify("notify", "UPDATE message SET template = 'decision_1'")
        ids = [row["message_id"] for row in await desk.rows()]
        reports = [Report(one, Fact.TOLD_DELIVERED) for one in ids[:3]] + [Report(ids[3], Fact.TOLD_FAILED, "131026")]
        async with desk.outbox.transaction() as transaction:
            await apply(transaction, reports, AT)
    return books


@pytest.mark.parametrize(
    ("sql", "table"),
    [
        (None, None),
        ("UPDATE message SET purpose = 'x' WHERE state = 'failed'", "message"),
        ("UPDATE message SET delivered_at = now() WHERE delivered_at = (SELECT min(delivered_at) FROM message)",
         "message (milestones)"),
        ("UPDATE decision SET eligible = NOT eligible", "decision"),
        ("UPDATE contact SET contact = NULL", "contact"),
    ],
)  # fmt: skip
async def test_one_row_of_the_messages(messages: Books, sql: str | None, table: str | None) -> None:
    if sql:
        await messages.falsify("notify", sql)
    result = await messages.audited("notify")
    assert {finding.table for finding in result.findings} == ({table} if table else set())
    assert {finding.kind for finding in result.findings} <= {Kind.ROW_DIFFERS}
    counts: dict[str, Any] = {one.table: one.rows for one in result.stages[0].tables}
    assert counts == {"message": 4, "message (milestones)": 8, "decision": 5, "contact": 5}
