"""The payout service's parts on a real PostgreSQL and a real simulated bank, without Kafka between them."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg

from services.payout import api, configuration
from services.payout.channels.bulk_bank import BulkBank
from services.payout.configuration import Configuration
from services.payout.handler import handle
from services.payout.sweep import Sweep
from services.payout.worker import PAYMENT_SCHEMA, BankWorker
from shared.events import EligibilityDecided, Event, Reason, Text, caused_by, first_cause
from shared.events.codec import decode, encode
from shared.events.topics import MODELS
from shared.postgres import migrate, open_pool
from shared.privacy import keyfile
from shared.privacy.keyring import Keyring
from shared.runtime.emit import Outbox
from shared.runtime.payload import unpack
from shared.runtime.positions import Place, Position
from shared.runtime.stage import Message, Stage
from shared.runtime.turn import Turn

AT = datetime(2026, 11, 1, 7, 0, tzinfo=UTC)
TOPIC = EligibilityDecided.TYPE
FAST_BANK = {
    "window_s": 1.5,
    "timestamp_tolerance_s": 0.5,
    "call_timeout_s": 0.8,
    "first_inquiry_after_s": 0.1,
    "inquiry_pause_max_s": 0.4,
    "resend_after_s": 0.1,
}
FAST_SIMULATOR = ("--window-s", 1.5, "--timestamp-tolerance-s", 0.5, "--late-s", 0.7, "--delay-s", 0.5, "--hang-s", 1)
HONEST = ("--refused", 0, "--delayed", 0, "--timeout", 0, "--late", 0, "--cut", 0)


def recipient(number: int) -> str:
    return f"r-{number:032x}"


def number(recipient_id: str) -> int:
    """The number that `recipient` made this id of."""
    return int(recipient_id.removeprefix("r-").lstrip("0"), base=16)


def fast(known: Configuration, **changes: Any) -> Configuration:
    """The bank with times that a test can wait for."""
    bank = known.banks["himbara"].model_copy(update={**FAST_BANK, **changes})
    return known.model_copy(update={"banks": {"himbara": bank}})


@dataclass
class Desk:
    """One process of the payout service; `copy` makes another one on the same database."""

    database: str
    keyring: Keyring
    outbox: Outbox
    known: Configuration
    bank_url: str = "http://127.0.0.1:9"
    turn: Turn = field(init=False)
    sweep: Sweep = field(init=False)
    bank: BankWorker = field(init=False)
    channels: list[BulkBank] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.turn = Turn(Stage("payout", (TOPIC,), handle), self.outbox, self.keyring)
        self.turn.positions[Place(TOPIC, 0)] = Position(0, 0)
        self.sweep = Sweep(self.outbox, self.known)
        self.connect(self.bank_url)

    def connect(self, url: str) -> None:
        channel = BulkBank("himbara", self.known.banks["himbara"], url, "bank-token")
        self.bank_url = url
        self.channels.append(channel)
        self.bank = BankWorker("himbara", self.known.banks["himbara"], channel, self.outbox, self.keyring, self.known)

    def copy(self) -> "Desk":
        return Desk(self.database, self.keyring, self.outbox, self.known, self.bank_url, self.channels)

    def decision(
        self,
        number: int,
        *,
        programme: str = "sembako",
        revision: int = 1,
        eligible: bool = True,
        amount_idr: int = 200_000,
        decile: int = 1,
        waiting: int | None = None,
        account: bool = True,
        account_number: str | None = None,
        family: int | None = None,
    ) -> Event[EligibilityDecided]:
        """A decision about recipient `number`, who has waited since the `waiting`-th minute."""
        who = recipient(number)
        payment = {"bank": "002", "number": account_number or f"{number:010d}", "holder": f"Penerima {number}"}
        sealed = self.keyring.seal("payment", json.dumps(payment).encode(), recipient=who, schema=PAYMENT_SCHEMA)
        data = EligibilityDecided(
            programme=programme,
            programme_version=1,
            revision=revision,
            outcome="eligible" if eligible else "ineligible",
            amount_idr=amount_idr if eligible else 0,
            reasons=(Reason(code="decile_within_limit", text=Text(id="Sesuai", en="Fits")),),
            registration_revision=revision,
            flag_revision=0,
            village="7604012001",
            decile=decile,
            waiting_since=AT + timedelta(minutes=number if waiting is None else waiting),
            family_id=None if family is None else f"f-{family:032x}",
            payment=sealed if eligible and account else None,
            contact=self.keyring.seal("contact", b"{}", recipient=who, schema="contact/1"),
        )
        cause = first_cause(f"s-{number}-{revision}", "polman")
        return caused_by(cause, "eligibility", data, subject=who, time=AT, distinct=(programme, str(revision)))

    def message(self, decision: Event[EligibilityDecided]) -> Message:
        return Message(TOPIC, 0, 0, 0, decision.subject.encode(), encode(decision), 0)

    async def decide(self, *decisions: Event[EligibilityDecided]) -> None:
        """Hands these events to the stage, as one batch."""
        await self.hand_in([self.message(decision) for decision in decisions])

    async def hand_in(self, messages: Sequence[Message]) -> None:
        where = await self.outbox.pool.fetchval("SELECT next_offset FROM input_position WHERE topic = $1", TOPIC)
        if where is None:
            await self.outbox.pool.execute("INSERT INTO input_position VALUES ($1, 0, 0, 0)", TOPIC)
        first = where or 0
        self.turn.positions[Place(TOPIC, 0)] = Position(first, first)
        await self.turn.handle([m._replace(offset=n, sequence=n) for n, m in enumerate(messages, first)])

    async def open_cycle(self, budget_idr: int, programme: str = "sembako", period: str = "2026-11") -> str:
        proposal = api.Proposal(programme=programme, period=period, budget_idr=budget_idr, by="Ani")
        found, _ = await api.propose(self.outbox, self.known, proposal)
        await api.approve(self.outbox, self.known, found["cycle"], "Budi")
        return str(found["cycle"])

    async def sweep_all(self) -> None:
        while await self.sweep.turn():
            pass

    async def rows(self, query: str, *args: Any) -> list[asyncpg.Record]:
        found: list[asyncpg.Record] = await self.outbox.pool.fetch(query, *args)
        return found

    async def states(self, programme: str = "sembako") -> dict[int, str]:
        """Recipient's number → state of its payout, of the latest period."""
        rows = await self.rows(
            "SELECT recipient_id, state FROM payout WHERE programme = $1 ORDER BY cycle, recipient_id", programme
        )
        return {number(row[0]): row[1] for row in rows}

    async def balances(self, cycle: str = "sembako-2026-11") -> dict[str, int]:
        return dict(await self.rows("SELECT name, balance_idr FROM account WHERE cycle = $1", cycle))

    async def emitted(self, *types: str) -> list[Event[Any]]:
        """Every event of this service so far, in its order within a partition."""
        rows = await self.rows("SELECT payload FROM outbox ORDER BY topic, partition, first_sequence")
        events = [json.loads(record.value) for row in rows for record in unpack(row[0])]
        return [decode(MODELS[e["type"]], json.dumps(e).encode()) for e in events if not types or e["type"] in types]

    async def check_books(self) -> None:
        """What must hold at any moment: the books balance, and every event of a payout has its own revision."""
        assert [dict(row) for row in await self.rows("SELECT * FROM ledger_problem")] == []
        assert await self.rows("SELECT * FROM standing WHERE standing = 'lost'") == []
        assert await self.rows("SELECT * FROM contradiction") == []
        told: dict[tuple[str, str], list[int]] = {}
        for event in await self.emitted():
            if event.type.startswith("payout."):
                told.setdefault((event.subject, event.data.cycle), []).append(event.data.revision)
        for revisions in told.values():
            assert sorted(revisions) == list(range(1, len(revisions) + 1))

    async def check_against_bank(self, entries: Sequence[dict[str, Any]]) -> None:
        """Every rupiah of the bank's books is a confirmed payout's, and the other way round."""
        paid = {entry["reference"]: entry["amount_idr"] for entry in entries}
        assert len(paid) == len(entries)
        ours = await self.rows("SELECT reference, amount_idr FROM payout WHERE state = 'confirmed'")
        assert dict(ours) == paid


@asynccontextmanager
async def desk_on(database: str, keys: Path, **bank: Any) -> AsyncIterator[Desk]:
    """A desk on an empty database."""
    keyfile.ensure(keys)
    await migrate(database, "payout")
    pool = await open_pool(database, "payout", size_max=12)
    desk = Desk(database, Keyring.load(keys), Outbox("payout", pool, 8), fast(configuration.load(), **bank))
    try:
        yield desk
    finally:
        for channel in desk.channels:
            await channel.close()
        pool.terminate()
