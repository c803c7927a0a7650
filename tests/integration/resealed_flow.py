"""All four stages on one database, without Kafka: events are carried by hand, in any order between topics."""

import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

import aiohttp
import asyncpg

from salur.inside.dependents import DEPENDENTS
from services.eligibility.casefile import Office
from services.eligibility.handler import Handler as Eligibility
from services.eligibility.service import INPUTS as ELIGIBILITY
from services.notify.handler import INPUTS as NOTIFY
from services.notify.handler import Handler as Notify
from services.payout.handler import INPUTS as PAYOUT
from services.payout.handler import handle as payout
from shared.clock import now
from shared.events import Event
from shared.partition import partition_of
from shared.postgres import open_pool
from shared.privacy import Keyring, keyfile
from shared.runtime import Batch
from shared.runtime.stage import Message, Received
from tests.integration import registry_desk
from tests.integration.registry_desk import RIGHT, at, nik_of

KINDS: Final = ("eligibility", "payment", "contact")
READS: Final = {"eligibility": ELIGIBILITY, "payout": PAYOUT, "notify": NOTIFY}
TOKEN: Final = "the-token-of-the-keeper"


@dataclass
class Flow:
    """`waiting`: what each stage has not read yet, topic by topic in order."""

    registry: registry_desk.Desk
    office: Office
    database: str
    url: str
    chance: random.Random
    waiting: dict[tuple[str, str], list[Received]] = field(default_factory=dict)
    _sequences: dict[str, int] = field(default_factory=dict)
    _pools: dict[str, asyncpg.Pool] = field(default_factory=dict)

    @property
    def keys(self) -> Any:
        return self.registry.keyring._path

    async def register(self, person: int, revision: int, **more: Any) -> None:
        """A registration whose account and phone tell its revision."""
        account = {"bank": "002", "number": f"{person:04d}{revision:06d}", "holder": "SITTI"}
        content = RIGHT | {"nik": nik_of(person), "account": account, "phone": f"0812{person:04d}{revision:04d}"} | more
        message = self.registry.message(f"{person}-{revision}", content, time=at(revision))
        await self.carry(await self.registry.handle(message))

    async def flag(self, person: int, number: int, *, raised: bool = True) -> None:
        content = {"nik": nik_of(person), "flag": "deceased", "since": f"2026-01-{number:02d}", "raised": raised}
        message = self.registry.message(f"f{person}-{number}", content, time=at(number), kind="flag")
        await self.carry(await self.registry.handle(message))

    def recipient(self, person: int) -> str:
        return self.registry.keyring.recipient_id(nik_of(person))

    async def reseal(self, recipients: Iterable[str], token: str = TOKEN) -> tuple[int, Any]:
        body = {"act": f"reseal-{self.chance.random()}", "recipients": list(recipients)}
        async with (
            aiohttp.ClientSession() as session,
            session.post(
                f"{self.url}/recipients/reseal", json=body, headers={"Authorization": f"Bearer {token}"}
            ) as response,
        ):
            answer = response.status, await response.json()
        await self.carry(await self.registry.emitted())
        return answer

    async def carry(self, events: Sequence[Event[Any]]) -> None:
        for event in events:
            sequence = self._sequences[event.type] = self._sequences.get(event.type, -1) + 1
            key = event.subject.encode()
            message = Message(event.type, partition_of(key, 1), sequence, sequence, key, b"", 0)
            for stage, topics in READS.items():
                if event.type in topics:
                    self.waiting.setdefault((stage, event.type), []).append(Received(message, event))

    async def step(self, stage: str, topic: str, count: int) -> None:
        """The stage reads some of what waits on this topic; what it says is carried on."""
        queue = self.waiting.get((stage, topic), [])
        batch, queue[:] = Batch(queue[:count], now()), queue[count:]
        if batch.received:
            await self.take(stage, batch)

    async def take(self, stage: str, batch: Batch) -> None:
        handle = {"eligibility": Eligibility(self.office).handle, "payout": payout, "notify": Notify(0.0)}[stage]
        if stage not in self._pools:
            self._pools[stage] = await open_pool(self.database, stage)
        async with self._pools[stage].acquire() as connection, connection.transaction():
            told = await handle(batch, connection)
        await self.carry(list(told))

    async def close(self) -> None:
        for pool in self._pools.values():
            await pool.close()

    async def settle(self, *, but: Sequence[str] = ()) -> None:
        """Everything is read, but for these topics."""
        while places := [key for key, queue in self.waiting.items() if queue and key[1] not in but]:
            for stage, topic in sorted(places):
                await self.step(stage, topic, 100)

    def rotate(self, *kinds: Any) -> list[str]:
        """The keys before, retired long ago."""
        held = keyfile.read(self.keys).keys
        old = [held[kind][-1].id for kind in kinds]
        for kind in kinds:
            self.registry.keyring.knows(keyfile.rotate(self.keys, kind, now=now() - timedelta(hours=1)))
        return old

    async def under(self, key_ids: Sequence[str]) -> dict[str, int]:
        """How many values of each place are under these keys."""
        connection = await self.owner()
        try:
            return {
                f"{dependent.place}": count
                for kind in KINDS
                for dependent in DEPENDENTS[kind]
                for key_id in key_ids
                if (count := await connection.fetchval(dependent.sql, f"{key_id}."))
            }
        finally:
            await connection.close()

    async def owner(self) -> Any:
        return await asyncpg.connect(self.database)

    async def check_values(self) -> None:
        """Whatever is kept opens, and says what the registration of its revision said."""
        keyring = Keyring.load(self.keys)
        numbers = {self.recipient(person): person for person in range(1, 10)}

        def check(who: str, revision: int, payment: str | None, contact: str | None) -> None:
            if payment:
                account = json.loads(keyring.open(payment, "payment", recipient=who, schema="payment/1"))
                assert account["number"] == f"{numbers[who]:04d}{revision:06d}"
            if contact:
                phone = json.loads(keyring.open(contact, "contact", recipient=who, schema="contact/1"))["phone"]
                assert phone == f"+62812{numbers[who]:04d}{revision:04d}"

        connection = await self.owner()
        try:
            for row in await connection.fetch("SELECT * FROM eligibility.recipient"):
                who = row["recipient_id"]
                if row["registration_revision"]:
                    check(who, row["registration_revision"], row["payment"], row["contact"])
                    assert keyring.open(row["eligibility"], "eligibility", recipient=who, schema="eligibility/1")
                if row["flags"]:
                    flags = json.loads(keyring.open(row["flags"], "eligibility", recipient=who, schema="flags/1"))
                    assert flags == (["deceased"] if row["flag_revision"] % 2 else [])
            for row in await connection.fetch("SELECT * FROM payout.decision"):
                check(row["recipient_id"], row["registration_revision"], row["payment"], row["contact"])
                assert (row["payment"] is not None) == row["eligible"]
            for row in await connection.fetch("SELECT * FROM notify.contact WHERE registration_revision > 0"):
                check(row["recipient_id"], row["registration_revision"], None, row["contact"])
            for row in await connection.fetch("SELECT * FROM registry.recipient"):
                check(row["recipient_id"], row["revision"], row["payment"], row["contact"])
        finally:
            await connection.close()

    async def decided(self) -> list[tuple[Any, ...]]:
        """What resealing must not change."""
        connection = await self.owner()
        try:
            return [
                tuple(row)
                for sql in (
                    "SELECT recipient_id, programme, revision, outcome, amount_idr, reasons, registration_revision, "
                    "flag_revision FROM eligibility.decision ORDER BY 1, 2",
                    "SELECT recipient_id, programme, revision, eligible, amount_idr, settled_in FROM payout.decision "
                    "ORDER BY 1, 2",
                    "SELECT recipient_id, purpose, state FROM notify.message ORDER BY 1, 2",
                )
                for row in await connection.fetch(sql)
            ]
        finally:
            await connection.close()
