"""A desk for tests: makes submissions as a source does, and runs the registry's stage on a real PostgreSQL."""

import hashlib
import json
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg

from services.registry.fingerprint import Fingerprint
from services.registry.handler import Handler
from services.registry.reading import Reader
from services.registry.reference import reference
from services.registry.settling import Settling
from services.registry.sources import MODELS, Kind, Source, Sources
from shared.events import Event
from shared.events.codec import decode, encode
from shared.events.envelope import envelope
from shared.events.topics import intake_topic, topic_named
from shared.postgres import migrate, open_pool
from shared.privacy import Keyring, keyfile, seal_submission
from shared.runtime import Outbox, Stage
from shared.runtime.payload import unpack
from shared.runtime.positions import Place, read
from shared.runtime.stage import Message
from shared.runtime.turn import Turn

PARTITIONS = 8
TOKENS = {"polman": "the-token-of-polman", "bkn": "the-token-of-bkn"}
SOURCES = Sources(
    Source(name=name, token_sha256=hashlib.sha256(TOKENS[name].encode()).hexdigest(), may=may)
    for name, may in (("polman", frozenset({"registration", "flag"})), ("bkn", frozenset({"flag"})))
)
NIK = "7604015708900001"
RIGHT: dict[str, Any] = {
    "nik": NIK,
    "name": "Sitti Aminah",
    "kk": "7604011203150007",
    "birth_date": "1990-08-17",
    "sex": "P",
    "role": "spouse",
    "village": "7604012002",
    "phone": "081234567890",
    "decile": 2,
    "income_idr": 900_000,
    "account": {"bank": "002", "number": "123456789012345", "holder": "SITTI AMINAH"},
    "members": [{"birth_date": "1990-08-17", "sex": "P"}],
}


def at(hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 11, 20, hour, minute, tzinfo=UTC)


def nik_of(serial: int) -> str:
    return f"760401570890{serial:04d}"


@dataclass(slots=True)
class Desk:
    """One registry: its database, its keys, and a worker for each partition that is asked for."""

    pool: asyncpg.Pool
    keyring: Keyring
    _offsets: dict[tuple[str, int], int] = field(default_factory=dict)
    _workers: dict[int, Turn] = field(default_factory=dict)

    @property
    def fingerprint(self) -> Fingerprint:
        return Fingerprint(self.keyring)

    @property
    def outbox(self) -> Outbox:
        return Outbox("registry", self.pool, PARTITIONS)

    def handler(self) -> Handler:
        reader = Reader(self.keyring, SOURCES, reference(), self.fingerprint)
        return Handler(reader, Settling(self.keyring, self.fingerprint))

    async def worker(self, partition: int) -> Turn:
        """A worker of its own that holds this partition of all intake topics."""
        if partition not in self._workers:
            turn = Turn(Stage("registry", SOURCES.topics(), self.handler().handle), self.outbox, self.keyring)
            async with self.pool.acquire() as connection:
                turn.positions = await read(connection, {Place(topic, partition): 0 for topic in SOURCES.topics()})
            self._workers[partition] = turn
        return self._workers[partition]

    def event(
        self, submission_id: str, content: dict[str, Any], *, time: datetime, source: str, kind: Kind
    ) -> Event[Any]:
        plaintext = json.dumps(content).encode()
        sealed = seal_submission(self.keyring.public_keys(), plaintext, source=source, event_id=submission_id)
        model = MODELS[kind]
        return envelope(model)(
            id=submission_id,
            source=source,
            type=model.TYPE,
            subject=submission_id,
            time=time,
            data=model(sealed=sealed),
        )

    def message(
        self,
        submission_id: str,
        content: dict[str, Any],
        *,
        time: datetime | None = None,
        source: str = "polman",
        kind: Kind = "registration",
        partition: int = 0,
    ) -> Message:
        """A new message with this submission, at the end of its topic and partition."""
        event = self.event(submission_id, content, time=time or at(8), source=source, kind=kind)
        return self.carry(event, intake_topic(MODELS[kind], source), partition)

    def carry(self, event: Event[Any], topic: str, partition: int = 0) -> Message:
        offset = self._offsets.get((topic, partition), 0)
        self._offsets[topic, partition] = offset + 1
        return Message(topic, partition, offset, None, event.id.encode(), encode(event), 0)

    async def handle(self, *messages: Message, partition: int = 0) -> list[Event[Any]]:
        """Handles the messages as one batch and returns what was emitted since the last time, dead letters too."""
        await (await self.worker(partition)).handle(messages)
        return await self.emitted()

    async def emitted(self) -> list[Event[Any]]:
        rows = await self.pool.fetch("SELECT topic, payload FROM outbox ORDER BY topic, partition, first_sequence")
        await self.pool.execute("DELETE FROM outbox")
        return events_of((row["topic"], row["payload"]) for row in rows)


def events_of(rows: Iterable[tuple[str, bytes]]) -> list[Event[Any]]:
    found = []
    for topic, payload in rows:
        model = topic_named(topic).model
        assert model is not None
        found += [decode(model, value) for _, value in unpack(payload)]
    return found


def answers(events: Sequence[Event[Any]]) -> list[tuple[str, str]]:
    """(submission, answer) of each event, in the order of ids; what is rejected is told by its codes."""
    return sorted((event.data.submission.id, _answer(event)) for event in events)


def _answer(event: Event[Any]) -> str:
    data = event.data
    if problems := getattr(data, "problems", None):
        return " ".join(problem.code for problem in problems)
    return str(getattr(data, "change", None) or getattr(data, "reason", None) or f"flags at {data.revision}")


@asynccontextmanager
async def open_desk(database: str, folder: Path) -> AsyncIterator[Desk]:
    keyfile.ensure(folder / "keys.json")
    await migrate(database, "registry")
    pool = await open_pool(database, "registry")
    try:
        yield Desk(pool, Keyring.load(folder / "keys.json"))
    finally:
        await pool.close()
