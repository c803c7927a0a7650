"""A restored database of notify: what was told stays told, and what may have been told is not told again."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from services.notify import recovery_store
from services.notify.domain.purposes import message_id
from services.notify.domain.states import Fact
from services.notify.handler import INPUTS
from services.notify.recovery import NotifyRecovery
from shared.events import Event
from shared.events.codec import decode
from shared.events.topics import MODELS, outputs_of
from shared.privacy import keyfile
from shared.runtime.recovery import Recovered, recover
from shared.settings import ServiceSettings
from tests.integration.notify_desk import AT, Desk, open_desk, recipient
from tests.integration.restoring import (
    OUTPUT_POSITIONS,
    audited,
    backup,
    dropping,
    pictured,
    places_of,
    publish_as,
    publish_own,
    refuses,
    take_in,
    with_database,
)
from tests.integration.toy import empty_topics, reader, settings_for
from tests.stack import fresh_database

PARTITIONS = 8
OUTCOMES = (
    "SELECT message_id, state, template, revision FROM message ORDER BY 1",
    "SELECT recipient_id, programme, eligible, amount_idr FROM told ORDER BY 1, 2",
    "SELECT * FROM decision ORDER BY 1, 2",
    OUTPUT_POSITIONS,
)


@dataclass
class Flow:
    """Eligibility keeps its own database; notify's is lost and restored."""

    settings: ServiceSettings
    eligibility: ServiceSettings

    async def read(self, desk: Desk, events: Sequence[Event[Any]] = ()) -> int:
        """These events happen, and all that there are are read."""
        if events:
            await publish_as(self.eligibility, "eligibility", events)
        desk.outbox.partitions = PARTITIONS
        return await take_in(self.settings, desk.turn, INPUTS)

    async def publish(self, desk: Desk, lost: Sequence[tuple[str, int]] = ()) -> None:
        await publish_own(self.settings, "notify", desk.pool, lost)

    async def recover(self, database: str, **options: Any) -> Recovered:
        return await recover(with_database(self.settings, database), NotifyRecovery(), **options)

    async def check(self, database: str) -> None:
        """Each event once, those of a message numbered without gaps, and the audit finds nothing."""
        revisions: dict[str, list[int]] = {}
        ids: Counter[str] = Counter()
        for topic in (name for name in outputs_of("notify") if name in MODELS):
            async with reader(self.settings, topic) as records:
                for record in records:
                    event = decode(MODELS[topic], record.value)
                    ids[event.id] += 1
                    revisions.setdefault(event.data.message_id, []).append(event.data.revision)
        assert max(ids.values()) == 1
        assert all(sorted(told) == list(range(1, len(told) + 1)) for told in revisions.values())
        assert [f.detail for f in (await audited(with_database(self.settings, database), "notify")).findings] == []


@pytest.fixture
async def flow(kafka: str, postgres: str, database: str, tmp_path: Path) -> Any:
    keyfile.create(tmp_path / "keys.json")
    settings = settings_for(kafka, database, tmp_path / "keys.json")
    await empty_topics(settings)
    upstream = await fresh_database(postgres)
    async with dropping(upstream):
        yield Flow(settings, settings_for(kafka, upstream, settings.keys))


def about(number: int) -> str:
    """The message about the decisions of this recipient's registration."""
    return message_id(recipient(number), f"decision:reg-{number}", "whatsapp")


async def tell(desk: Desk, fact: Fact, *numbers: int) -> None:
    for number in numbers:
        await desk.tell(about(number), fact, None if fact.startswith("told_") else 1)


async def test_what_was_told_is_known_again(flow: Flow, database: str) -> None:
    """Everything was published and nothing is under way: the recovered database knows what the lost one knew."""
    async with open_desk(database, flow.settings.keys) as desk:
        await flow.read(desk, [desk.decided(n) for n in range(1, 6)])
        await desk.claim_all()
        await tell(desk, Fact.ACCEPTED, 1, 2, 3, 4, 5)
        await tell(desk, Fact.TOLD_DELIVERED, 1)
        await flow.publish(desk)
    copy = await backup(database)
    async with dropping(copy):
        async with open_desk(database, flow.settings.keys) as desk:
            await flow.read(desk, [desk.decided(n) for n in range(6, 12)])
            await desk.claim_all()
            await tell(desk, Fact.ACCEPTED, 6, 7, 8, 9, 10, 11)
            await tell(desk, Fact.TOLD_DELIVERED, 2, 6, 7)
            await tell(desk, Fact.TOLD_FAILED, 3, 8)
            await tell(desk, Fact.TOLD_DELIVERED, 8)
            await flow.publish(desk)
            expected = await pictured(desk.pool, OUTCOMES)
        async with open_desk(copy, flow.settings.keys) as desk:
            assert await refuses(flow.settings, "notify", desk.pool)
            before = await pictured(desk.pool, OUTCOMES)
            await flow.recover(copy, dry_run=True)
            assert await pictured(desk.pool, OUTCOMES) == before
            done = await flow.recover(copy)
            assert (done.older, done.told, done.summary.get("messages_unknown", 0)) == (True, {}, 0)
            assert await pictured(desk.pool, OUTCOMES) == expected
            assert (await flow.recover(copy)).older is False
            await flow.read(desk)
            assert await desk.claim_all() == [], "inputs that are read again tell nobody again"
            again = [desk.decided(n, cause=f"rules-{n}", revision=2) for n in (1, 3, 8, 9)]
            await flow.read(desk, again)
            (message,) = await desk.claim_all()
            assert message.phone.endswith("3"), "only whose message failed is told again"
            await flow.publish(desk)
            await flow.check(copy)


async def test_what_may_have_left_is_not_sent_again(flow: Flow, database: str) -> None:
    """Of what was committed nothing was published: whoever may have got a message gets no second one."""
    async with open_desk(database, flow.settings.keys) as desk:
        await flow.read(desk, [desk.decided(n) for n in range(1, 4)])
        await desk.claim_all()
        await tell(desk, Fact.ACCEPTED, 1)
        await flow.publish(desk)
    copy = await backup(database)
    async with dropping(copy):
        async with open_desk(database, flow.settings.keys) as desk:
            await tell(desk, Fact.ACCEPTED, 2)
            await flow.read(desk, [desk.decided(n) for n in range(4, 8)])
            await desk.claim_all()
            await tell(desk, Fact.ACCEPTED, 4, 5)
            await tell(desk, Fact.TOLD_DELIVERED, 4)
            await flow.publish(desk, places_of("notify", PARTITIONS))
        async with open_desk(copy, flow.settings.keys) as desk:
            done = await flow.recover(copy, restored=True)
            assert done.summary["messages_unknown"] == 6
            assert await desk.states() == {"sent": 1, "unknown": 6}
            await flow.read(desk)
            await flow.read(desk, [desk.decided(n, cause=f"rules-{n}", revision=2) for n in range(1, 8)])
            assert await desk.claim_all() == []
            await tell(desk, Fact.TOLD_DELIVERED, 4)
            assert (await desk.states())["delivered"] == 1, "the carrier's word still counts"
            await flow.publish(desk)
            await flow.check(copy)


async def test_each_message_that_may_have_left_is_taken_once(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while it still counts as being sent: none is looked at twice, however many there are."""
    monkeypatch.setattr(recovery_store, "MESSAGES_AT_ONCE", 2)
    keyfile.create(tmp_path / "keys.json")
    async with open_desk(database, tmp_path / "keys.json") as desk:
        await desk.hand([desk.decided(n) for n in range(5)])
        await desk.claim_all()
        await desk.hand([desk.decided(n) for n in range(5, 7)])
        expected = sorted(row["message_id"] for row in await desk.rows())
    connection = await asyncpg.connect(database, server_settings={"search_path": "notify"})
    try:
        async with connection.transaction():
            await recovery_store.prepare(connection)
            groups = [
                [row["message_id"] for row in rows]
                async for rows in recovery_store.take_what_may_have_been_sent(connection, AT)
            ]
    finally:
        await connection.close()
    assert [len(group) for group in groups] == [2, 2, 2, 1]
    assert [message for group in groups for message in group] == expected
