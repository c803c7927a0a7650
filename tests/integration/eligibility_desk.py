"""An eligibility service without Kafka: real turn, handler, outbox and sweep on a real database."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg

from services.eligibility.casefile import Office
from services.eligibility.service import INPUTS, build
from services.eligibility.settings import EligibilitySettings
from services.eligibility.worker import Sweep
from shared.events import (
    EligibilityDecided,
    Event,
    RecipientFlagged,
    RecipientRegistered,
    RecipientResealed,
    SubmissionRef,
)
from shared.events.codec import decode, encode
from shared.events.dead_letters import DeadLetter
from shared.events.envelope import caused_by, first_cause
from shared.events.topics import replay_topic
from shared.partition import partition_of
from shared.postgres import migrate, open_pool
from shared.privacy import Keyring
from shared.runtime import positions
from shared.runtime.emit import Outbox
from shared.runtime.payload import unpack
from shared.runtime.positions import Place
from shared.runtime.stage import Message
from shared.runtime.turn import Turn

PARTITIONS = 8
SENT_AT = datetime(2026, 11, 2, 1, tzinfo=UTC)
CHILD = {"birth_date": "2024-01-01", "sex": "L"}
ELDER = {"birth_date": "1950-01-01", "sex": "P"}


def recipient(number: int) -> str:
    return f"r-{number:032x}"


def family(number: int) -> str:
    return f"f-{number:032x}"


@dataclass
class Registry:
    """Makes the events that the registry would."""

    keyring: Keyring

    def registered(
        self,
        who: str,
        card: str,
        *,
        revision: int = 1,
        decile: int = 2,
        role: str = "head",
        sex: str = "L",
        birth_date: str = "1986-01-07",
        members: Sequence[dict[str, Any]] = (),
        account: str = "123456789012345",
    ) -> Event[Any]:
        facts = {"birth_date": birth_date, "sex": sex, "role": role, "income_idr": 800_000, "members": list(members)}
        data = RecipientRegistered(
            revision=revision,
            change="new" if revision == 1 else "updated",
            submission=SubmissionRef(source="polman", id=f"{who}-{revision}", submitted_at=SENT_AT),
            registered_at=SENT_AT,
            family_id=card,
            village="7604012002",
            decile=decile,
            eligibility=self._seal("eligibility", "eligibility/1", who, facts),
            payment=self._seal("payment", "payment/1", who, {"bank": "002", "number": account, "holder": "Siti"}),
            contact=self._seal("contact", "contact/1", who, {"name": "Siti", "phone": "+6281234567890"}),
        )
        return caused_by(first_cause(f"{who}-{revision}", "polman"), "registry", data, subject=who, time=SENT_AT)

    def flagged(self, who: str, *flags: str, revision: int = 1) -> Event[Any]:
        data = RecipientFlagged(
            revision=revision,
            submission=SubmissionRef(source="bkn", id=f"flag-{who}-{revision}", submitted_at=SENT_AT),
            flags=self._seal("eligibility", "flags/1", who, list(flags)),
        )
        return caused_by(first_cause(f"flag-{who}-{revision}", "bkn"), "registry", data, subject=who, time=SENT_AT)

    def resealed(self, registered: Event[Any] | None, flagged: Event[Any] | None, number: int) -> Event[Any]:
        """What these two said, sealed once more."""
        who = (registered or flagged).subject  # type: ignore[union-attr]

        def again(sealed: Any, purpose: Any, schema: str) -> Any:
            plaintext = self.keyring.open(sealed, purpose, recipient=who, schema=schema)
            return self.keyring.seal(purpose, plaintext, recipient=who, schema=schema)

        parts = ("eligibility", "payment", "contact") if registered else ()
        data = RecipientResealed(
            revision=registered.data.revision if registered else 0,
            **{part: again(getattr(registered.data, part), part, f"{part}/1") for part in parts},  # type: ignore[union-attr]
            flag_revision=flagged.data.revision if flagged else 0,
            flags=again(flagged.data.flags, "eligibility", "flags/1") if flagged else None,
        )
        cause = first_cause(f"reseal-{number}", "salur keys reseal")
        return caused_by(cause, "registry", data, subject=who, time=SENT_AT)

    def _seal(self, purpose: Any, schema: str, who: str, content: Any) -> Any:
        return self.keyring.seal(purpose, json.dumps(content).encode(), recipient=who, schema=schema)


@dataclass
class Desk:
    """One process of the service. `sent` numbers messages as Kafka would; several desks share it."""

    pool: asyncpg.Pool
    turn: Turn
    sweep: Sweep
    office: Office
    keyring: Keyring
    sent: dict[Place, int] = field(default_factory=dict)

    @classmethod
    async def open(
        cls, database: str, keys: Path, *, programmes: Path | None = None, sent: dict[Place, int] | None = None
    ) -> "Desk":
        keyring = Keyring.load(keys)
        pool = await open_pool(database, "eligibility")
        outbox = Outbox("eligibility", pool, PARTITIONS)
        service = await build(outbox, keyring, EligibilitySettings(programmes=programmes))
        sweep = service.workers[0].turn.__self__  # type: ignore[attr-defined]
        desk = cls(
            pool, Turn(service.stage, outbox, keyring), sweep, sweep.office, keyring, {} if sent is None else sent
        )
        await desk.read_positions()
        return desk

    async def read_positions(self) -> None:
        topics = (*INPUTS, replay_topic("eligibility"))
        places = {Place(topic, partition): 0 for topic in topics for partition in range(PARTITIONS)}
        self.turn.positions = await positions.read(self.pool, places)

    def messages(self, *events: Event[Any], topic: str | None = None) -> list[Message]:
        made = []
        for event in events:
            key = event.subject.encode()
            place = Place(topic or event.type, partition_of(key, PARTITIONS))
            offset = self.sent[place] = self.sent.get(place, -1) + 1
            made.append(Message(*place, offset, None if topic else offset, key, encode(event), 0))
        return made

    async def takes(self, *events: Event[Any], topic: str | None = None) -> None:
        """All in one batch."""
        await self.turn.handle(self.messages(*events, topic=topic))

    async def emitted(self) -> list[Event[EligibilityDecided]]:
        """Every decision that was committed, in the order of its partition."""
        return [decode(EligibilityDecided, value) for value in await self._outbox(EligibilityDecided.TYPE)]

    async def dead_letters(self) -> list[Event[DeadLetter]]:
        return [decode(DeadLetter, value) for value in await self._outbox("dead-letter.eligibility")]

    async def current(self, programme: str) -> dict[str, asyncpg.Record]:
        rows = await self.pool.fetch("SELECT * FROM decision WHERE programme = $1 ORDER BY recipient_id", programme)
        return {row["recipient_id"]: row for row in rows}

    async def check(self) -> None:
        """What must hold whatever happened: one current decision a registered recipient and programme, one payee
        where anybody is paid, and the topic agrees with the table."""
        counts = await self.pool.fetchrow(
            """
            SELECT
                (SELECT count(*) FROM recipient WHERE registration_revision > 0) * $1 AS wanted,
                (SELECT count(*) FROM decision) AS decisions,
                (SELECT count(*) FROM decision WHERE outcome = 'eligible') AS eligible,
                (SELECT count(*) FROM family_payee) AS payees,
                (SELECT count(*)
                    FROM family_payee AS f
                    JOIN recipient AS r USING (recipient_id, family_id)
                    JOIN decision AS d USING (recipient_id, programme)
                    WHERE d.outcome = 'eligible') AS agreeing
            """,
            len(self.office.rulebook.rules),
        )
        assert counts
        assert counts["decisions"] == counts["wanted"]
        assert counts["eligible"] == counts["payees"] == counts["agreeing"]
        told: dict[tuple[str, str], Event[EligibilityDecided]] = {}
        emitted = await self.emitted()
        assert len({event.id for event in emitted}) == len(emitted)
        for event in emitted:
            key = (event.subject, event.data.programme)
            assert event.data.revision == (told[key].data.revision + 1 if key in told else 1), "no gap, never back"
            told[key] = event
        rows = await self.pool.fetch("SELECT recipient_id, programme, revision, outcome, amount_idr FROM decision")
        assert {(who, p): (e.data.revision, e.data.outcome, e.data.amount_idr) for (who, p), e in told.items()} == {
            (row[0], row[1]): (row[2], row[3], row[4]) for row in rows
        }

    async def close(self) -> None:
        await self.pool.close()

    async def _outbox(self, topic: str) -> list[bytes]:
        rows = await self.pool.fetch(
            "SELECT payload FROM outbox WHERE topic = $1 ORDER BY partition, first_sequence", topic
        )
        return [record.value for row in rows for record in unpack(row["payload"])]


@asynccontextmanager
async def first_desk(database: str, keys: Path) -> AsyncIterator[Desk]:
    """On an empty database, which gets its tables."""
    await migrate(database, "eligibility")
    desk = await Desk.open(database, keys)
    yield desk
    await desk.close()
