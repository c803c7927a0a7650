"""A registry and an eligibility service with real rows and events, and ways to falsify them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import orjson
from aiokafka import AIOKafkaProducer

from salur.inside.connect import Settings
from services.eligibility import service as eligibility
from services.eligibility.service import INPUTS
from services.registry import store
from services.registry.resealing_api import Wanted, reseal_all
from shared.events import RecipientRegistered, SubmissionRef, caused_by, first_cause
from shared.events.topics import STAGES, Service
from shared.postgres import migrate, open_pool
from shared.privacy import keyfile
from shared.privacy.keyring import Keyring
from shared.runtime import positions
from shared.runtime.digest import headers
from shared.runtime.emit import Outbox
from shared.runtime.payload import unpack
from shared.runtime.positions import Place
from shared.runtime.publisher import Publisher
from shared.runtime.stage import Message
from shared.runtime.turn import Turn
from shared.settings import ServiceSettings
from tests.integration.toy import AT, empty_topics, reader, settings_for

FACTS = {
    "birth_date": "1990-05-01",
    "sex": "P",
    "role": "head",
    "income_idr": 900_000,
    "members": [{"birth_date": "1990-05-01", "sex": "P"}, {"birth_date": "2018-02-01", "sex": "L", "school": "sd"}],
}


class Sent(NamedTuple):
    """One message as it goes to Kafka."""

    sequence: int
    key: bytes
    value: bytes


Falsify = Callable[[str, list[Sent]], list[Sent]]
"""What of a topic's waiting messages is sent instead."""


def recipient(number: int) -> str:
    return f"r-{number:032x}"


@dataclass
class World:
    """Two stages on one database; `publish` and `decide` are called by the test, so nothing moves by itself."""

    settings: ServiceSettings
    keyring: Keyring
    pools: dict[Service, asyncpg.Pool]

    @classmethod
    async def open(cls, kafka: str, database: str, folder: Path) -> "World":
        keys = folder / "keys.json"
        keyfile.create(keys)
        settings = settings_for(kafka, database, keys)
        await empty_topics(settings)
        for stage in STAGES:
            await migrate(database, stage)
        pools = {stage: await open_pool(database, stage) for stage in ("registry", "eligibility")}
        return cls(settings, Keyring.load(keys), pools)

    async def close(self) -> None:
        for pool in self.pools.values():
            await pool.close()

    @property
    def inside(self) -> Settings:
        s = self.settings
        return Settings(kafka=s.kafka, postgres=s.postgres, keys=s.keys)

    def outbox(self, service: Service) -> Outbox:
        return Outbox(service, self.pools[service], self.settings.partitions)

    async def register(self, count: int, *, start: int = 0) -> None:
        """New recipients with ids made of numbers."""
        await self.register_people({recipient(number): number for number in range(start, start + count)})

    async def register_people(self, people: Mapping[str, int]) -> None:
        """New recipients with a number each: a submission and a family of their own, as the registry writes them."""
        events, rows, answers = [], [], []
        for who, number in people.items():
            row = store.RecipientRow(
                who,
                1,
                AT,
                AT - timedelta(days=1),
                "polman",
                f"file-{number}",
                bytes(16),
                f"f-{number:032x}",
                "7604031005",
                1 + number % 10,
                self._seal("eligibility", who, "eligibility/1", FACTS),
                self._seal("payment", who, "payment/1", {"bank": "002", "number": "001", "holder": "X"}),
                None,
            )
            ref = SubmissionRef(source="polman", id=f"file-{number}", submitted_at=row.won_submitted_at)
            data = RecipientRegistered(
                revision=1,
                change="new",
                submission=ref,
                registered_at=AT,
                family_id=row.family_id,
                village=row.village,
                decile=row.decile,
                eligibility=row.eligibility,
                payment=row.payment,
            )
            cause = first_cause(ref.id, "polman")
            events.append(caused_by(cause, "registry", data, subject=who, time=AT, distinct=("polman",)))
            rows.append(row)
            answers.append(
                store.AnswerRow(
                    "polman", ref.id, "registration", bytes(16), who, "registered", "new", None, ref.submitted_at, AT
                )
            )
        async with self.outbox("registry").transaction() as transaction:
            await store.lock_people(transaction.tx, [row.recipient_id for row in rows])
            await store.record_answers(transaction.tx, answers)
            await store.insert_recipients(transaction.tx, rows)
            transaction.emit(events)

    async def reseal(self, people: Sequence[str]) -> None:
        """The registry is asked to move these people's values to a new key."""
        new = keyfile.rotate(self.settings.keys, "payment")
        self.keyring.knows(new)
        await reseal_all(self.outbox("registry"), self.keyring, Wanted(act=f"reseal-{new}", recipients=list(people)))

    async def decide(self) -> None:
        """Eligibility reads everything that its input topics hold now."""
        outbox = self.outbox("eligibility")
        service = await eligibility.build(outbox, self.keyring)
        turn = Turn(service.stage, outbox, self.keyring)
        for topic in INPUTS:
            places = {Place(topic, p): 0 for p in range(self.settings.partitions)}
            turn.positions.update(await positions.read(outbox.pool, places))
            async with reader(self.settings, topic) as records:
                messages = [
                    Message(r.topic, r.partition, r.offset, int(dict(r.headers)["sequence"]), r.key, r.value, 0)
                    for r in records
                    if r.offset >= turn.positions[Place(r.topic, r.partition)].offset
                ]
            if messages:
                await turn.handle(messages)

    async def publish(self, service: Service) -> None:
        publisher = Publisher(service, self.pools[service], self.settings)
        publisher.own(frozenset(range(self.settings.partitions)))
        await publisher.drain()
        await publisher.close()

    async def publish_falsified(self, service: Service, falsify: Falsify) -> None:
        """What a broker's administrator could make of the topic: other messages than those that were committed."""
        pool = self.pools[service]
        rows = await pool.fetch("SELECT * FROM outbox ORDER BY topic, partition, first_sequence")
        producer = AIOKafkaProducer(**self.settings.client_options(), acks="all")
        await producer.start()
        try:
            for row in rows:
                sent = [Sent(s, *record) for s, record in enumerate(unpack(row["payload"]), row["first_sequence"])]
                for sequence, key, value in falsify(row["topic"], sent):
                    await producer.send(
                        row["topic"], value, key=key, partition=row["partition"], headers=headers(sequence)
                    )
            await producer.flush()
        finally:
            await producer.stop()
        await self.execute(service, "DELETE FROM outbox")

    async def execute(self, service: Service, sql: str) -> str:
        """As the owner of the tables, who may do what the service's role may not."""
        connection = await asyncpg.connect(self.settings.url(service), server_settings={"search_path": service})
        try:
            return str(await connection.execute(sql))
        finally:
            await connection.close()

    def _seal(self, purpose: Any, who: str, schema: str, value: Any) -> str:
        return self.keyring.seal(purpose, orjson.dumps(value), recipient=who, schema=schema).value


def once(change: Callable[[Sequence[Sent]], list[Sent]], topic: str) -> Falsify:
    """Falsifies the first waiting batch of this topic that has at least three messages, and nothing else."""
    done = []

    def falsify(name: str, sent: list[Sent]) -> list[Sent]:
        if name != topic or done or len(sent) < 3:
            return sent
        done.append(name)
        return change(sent)

    return falsify
