"""The notify service without Kafka: the real handler, turn, sender and webhook endpoint on a real PostgreSQL.

Run as a program it is a sender process that dies, by SIGKILL, at a chosen moment.
"""

import asyncio
import json
import os
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg

from services.notify.api import router
from services.notify.carriers.carrier import Answer
from services.notify.carriers.whatsapp import WhatsApp
from services.notify.domain.messages import Composed
from services.notify.domain.states import Fact
from services.notify.handler import INPUTS, Handler
from services.notify.pace import Pace
from services.notify.progress import Report, apply
from services.notify.wording import load_names
from services.notify.worker import Sender, Settler, workers
from shared.events import (
    Cause,
    CodeIssued,
    EligibilityDecided,
    Event,
    PayoutConfirmed,
    PayoutFailed,
    Reason,
    Text,
    caused_by,
    first_cause,
)
from shared.events.codec import decode, encode
from shared.events.topics import MODELS
from shared.partition import partition_of
from shared.postgres import migrate, open_pool
from shared.privacy.keyring import Keyring
from shared.privacy.sealed import SealedCode
from shared.runtime.emit import Outbox
from shared.runtime.http import create_app, serve
from shared.runtime.payload import unpack
from shared.runtime.positions import Place, read
from shared.runtime.stage import Message, Stage
from shared.runtime.turn import Turn
from shared.runtime.worker import keep_working

SECRET = "a secret between two"
AT = datetime(2026, 11, 24, 7, 0, tzinfo=UTC)
PARTITIONS = 2


def recipient(number: int) -> str:
    return f"r-{number:032x}"


def phone(number: int) -> str:
    return f"+62812{number:08d}"


@dataclass
class Desk:
    """One instance of the service."""

    pool: asyncpg.Pool
    outbox: Outbox
    keyring: Keyring
    turn: Turn
    webhook: str
    offset: dict[Place, int] = field(default_factory=dict)

    def sender(self, carrier_url: str, *, timeout_s: float = 1.0, at_once: int = 64, rate: float = 0) -> Sender:
        return sender_for(self.outbox, self.keyring, carrier_url, timeout_s=timeout_s, at_once=at_once, rate=rate)

    async def hand(self, events: Sequence[Event[Any]]) -> None:
        """One turn of the stage over these events."""
        messages = []
        for event in events:
            place = Place(event.type, partition_of(event.subject.encode(), PARTITIONS))
            offset = self.offset.get(place, 0)
            self.offset[place] = offset + 1
            messages.append(Message(*place, offset, offset, event.subject.encode(), encode(event), 0))
        await self.turn.handle(messages)

    async def claim_all(self) -> list[Any]:
        """Claims what is due, and sends nothing."""
        sender = self.sender("http://127.0.0.1:9")
        outgoing, _ = await sender._claim(1000)
        await sender.carrier.close()
        return outgoing

    async def tell(self, message: str, fact: Fact, attempt: int | None = None) -> int:
        """As the carrier would. Returns how many messages moved."""
        async with self.outbox.transaction() as transaction:
            return await apply(transaction, [Report(message, fact, "rate_limited", attempt, AT)], AT)

    async def states(self) -> dict[str, int]:
        return dict(await self.pool.fetch("SELECT state, count(*) FROM message GROUP BY state"))

    async def rows(self) -> list[asyncpg.Record]:
        return await self.pool.fetch("SELECT * FROM message ORDER BY created_at, message_id")

    async def told(self) -> list[Event[Any]]:
        """The events that this service has committed."""
        rows = await self.pool.fetch("SELECT topic, payload FROM outbox ORDER BY topic, partition, first_sequence")
        return [decode(MODELS[r["topic"]], record.value) for r in rows for record in unpack(r["payload"])]

    async def check_told_once(self) -> Counter[str]:
        """Each event once, numbered without gaps; returns how many of each type."""
        told = await self.told()
        assert max(Counter((e.type, e.data.message_id) for e in told).values(), default=1) == 1
        assert len({e.id for e in told}) == len(told)
        revisions: dict[str, list[int]] = {}
        for event in told:
            revisions.setdefault(event.data.message_id, []).append(event.data.revision)
        assert all(sorted(held) == list(range(1, len(held) + 1)) for held in revisions.values())
        return Counter(e.type.removeprefix("notification.") for e in told)

    def coded(self, number: int, request: int, code: str, expires_at: datetime) -> Event[CodeIssued]:
        """As the portal seals it."""
        who = recipient(number)
        sealed = self.keyring.seal("access", code.encode(), recipient=who, schema="code.issued/1")
        data = CodeIssued(request=f"q-{request:032x}", code=SealedCode(sealed.value), expires_at=expires_at, revision=1)
        return caused_by(first_cause(data.request, "portal"), "portal", data, subject=who, time=AT)

    def decided(
        self,
        number: int,
        programme: str = "sembako",
        *,
        cause: str | None = None,
        revision: int = 1,
        eligible: bool = True,
        amount_idr: int = 200_000,
        contact: dict[str, str | None] | None = None,
        registration: int = 1,
    ) -> Event[EligibilityDecided]:
        who = recipient(number)
        given = {"name": "Siti Aminah", "phone": phone(number), "language": "id"} if contact is None else contact
        sealed = self.keyring.seal("contact", json.dumps(given).encode(), recipient=who, schema="contact/1")
        data = EligibilityDecided(
            programme=programme,
            programme_version=1,
            revision=revision,
            outcome="eligible" if eligible else "ineligible",
            amount_idr=amount_idr if eligible else 0,
            reasons=(Reason(code="meets_conditions", text=Text(id="Memenuhi syarat.", en="Meets every condition.")),),
            registration_revision=registration,
            flag_revision=0,
            village="7604031005",
            decile=2,
            waiting_since=AT,
            contact=sealed,
        )
        return caused_by(
            _cause(cause or f"reg-{number}"), "eligibility", data, subject=who, time=AT, distinct=(programme,)
        )

    def paid(
        self, number: int, *, revision: int = 2, attempt: int = 1, failed: str | None = None
    ) -> Event[PayoutConfirmed] | Event[PayoutFailed]:
        common: dict[str, Any] = {
            "cycle": "sembako-2026-11",
            "programme": "sembako",
            "revision": revision,
            "amount_idr": 200_000,
            "decision_revision": 1,
            "village": "7604031005",
            "attempt": attempt,
            "reference": f"REF{number}",
            "channel": "himbara",
        }
        cause = _cause(f"pay-{number}-{attempt}-{failed}")
        if failed:
            text = Text(id="Rekening penerima sudah ditutup.", en="The account is closed.")
            data = PayoutFailed(**common, code=failed, text=text)
            return caused_by(cause, "payout", data, subject=recipient(number), time=AT)
        confirmed = PayoutConfirmed(**common, bank_reference="B1", confirmed_at=AT)
        return caused_by(cause, "payout", confirmed, subject=recipient(number), time=AT)


def _cause(event_id: str) -> Cause:
    return Cause(event_id, event_id, f"00-{'1' * 32}-{'2' * 16}-01")


@asynccontextmanager
async def open_desk(database: str, keys: Path, *, quiet_time_s: float = 0.0) -> AsyncIterator[Desk]:
    """A desk whose webhook endpoint listens."""
    await migrate(database, "notify")
    pool = await open_pool(database, "notify")
    outbox = Outbox("notify", pool, PARTITIONS)
    keyring = Keyring.load(keys)
    stage = Stage("notify", INPUTS, Handler(quiet_time_s))
    port, stopping = free_port(), asyncio.Event()
    app = create_app("notify", list, (router(outbox, SECRET, "verify-me"),))
    serving = asyncio.create_task(serve(app, "127.0.0.1", port, stopping))
    turn = Turn(stage, outbox, keyring)
    places = {Place(topic, partition): 0 for topic in INPUTS for partition in range(PARTITIONS)}
    async with pool.acquire() as connection:
        turn.positions = await read(connection, places)
    desk = Desk(pool, outbox, keyring, turn, f"http://127.0.0.1:{port}/webhooks/whatsapp")
    try:
        yield desk
    finally:
        stopping.set()
        await serving
        await pool.close()


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port


def sender_for(
    outbox: Outbox, keyring: Keyring, carrier_url: str, *, timeout_s: float, at_once: int, rate: float
) -> Sender:
    carrier = WhatsApp(carrier_url, "carrier-token", "1065", timeout_s=timeout_s, at_once=at_once)
    return Sender(
        outbox,
        keyring,
        carrier,
        load_names(),
        Pace(rate),
        at_once,
        timeout_s,
        give_up_after_s=3600,
    )


@asynccontextmanager
async def sending(*senders: Sender) -> AsyncIterator[None]:
    """These senders work, as they do in the service."""
    stopping = asyncio.Event()
    parts = [worker for s in senders for worker in workers(s, Settler(s.outbox))]
    working = [asyncio.create_task(keep_working(worker, "notify", stopping)) for worker in parts]
    try:
        yield
    finally:
        stopping.set()
        await asyncio.gather(*working)
        for sender in senders:
            await sender.close()


async def until(holds: Callable[[], Awaitable[bool]], within_s: float = 60.0) -> None:
    give_up_at = time.monotonic() + within_s
    while not await holds():
        assert time.monotonic() < give_up_at, "waited too long"
        await asyncio.sleep(0.05)


async def run_out_claims(pool: asyncpg.Pool) -> None:
    """As if the time of all claims had passed."""
    await pool.execute(
        "UPDATE message SET claimed_until = $1 WHERE state = 'sending'", datetime.now(UTC) - timedelta(seconds=1)
    )


@dataclass
class Dying:
    """The real carrier behind it; the process is killed at the first send, before it is made or once it is answered."""

    carrier: WhatsApp
    when: str
    channel: Any = "whatsapp"

    async def send(self, message_id: str, phone: str, message: Composed) -> Answer:
        if self.when == "after":
            await self.carrier.send(message_id, phone, message)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("dead")

    async def close(self) -> None:
        await self.carrier.close()


async def _main(database: str, keys: str, carrier_url: str, when: str) -> None:
    pool = await open_pool(database, "notify")
    outbox = Outbox("notify", pool, PARTITIONS)
    sender = sender_for(outbox, Keyring.load(Path(keys)), carrier_url, timeout_s=5, at_once=8, rate=0)
    assert isinstance(sender.carrier, WhatsApp)
    sender.carrier = Dying(sender.carrier, when)
    while True:
        await sender.turn()


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
