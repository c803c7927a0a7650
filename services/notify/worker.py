"""Sends what is due, and settles claims whose sender died.

A claim is committed before the send. So of two processes one sends, and a message whose process died after the claim
is unknown: it may have been sent, and is never sent again.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic
from typing import NamedTuple

import asyncpg
import structlog

from services.notify import store
from services.notify.carriers.carrier import Answer, Carrier
from services.notify.domain.messages import Composed, Decision, Names
from services.notify.domain.states import Fact, State
from services.notify.metrics import ANSWERS, IN_FLIGHT, MOVED, OVERDUE_SECONDS, SEND_SECONDS, WAITING
from services.notify.pace import Pace
from services.notify.progress import Report, apply
from services.notify.way import Way
from services.notify.wording import (
    Person,
    Unreachable,
    code_for,
    decided_of,
    decisions_for,
    is_code,
    open_contact,
    payout_for,
)
from shared import clock
from shared.errors import KeyMissing
from shared.privacy.keyring import Keyring
from shared.runtime.backoff import Backoff
from shared.runtime.emit import Outbox, Transaction
from shared.runtime.worker import Worker

log = structlog.get_logger()

GATHER_S = 0.03
CLAIM_MARGIN_S = 30.0
RETRY_FIRST_S = 2.0
RETRY_MOST_S = 900.0
SETTLE_MAX = 500
MEASURED_MAX = 10_000
CLOSE_WITHIN_S = 5.0
KEY_PAUSE_S = 60.0
EXPIRED = "expired"

_FACTS: dict[str, Fact] = {
    "accepted": Fact.ACCEPTED,
    "refused": Fact.REFUSED,
    "refused_for_now": Fact.REFUSED_FOR_NOW,
    "unknown": Fact.LOST,
}


class Outgoing(NamedTuple):
    """A message that this process has claimed and will send."""

    message_id: str
    attempt: int
    created_at: datetime
    phone: str
    composed: Composed


class _Due(NamedTuple):
    row: asyncpg.Record
    person: Person | None
    code: str | None
    waits: bool = False
    composed: Composed | None = None
    """what is opened together with the contact: a code"""


@dataclass(slots=True)
class Sender:
    """Keeps up to `at_once` sends in flight. One that hangs holds up no other; answers are written in groups.

    `claim_s` is how long a claim lasts: longer than any send. A message that was refused for now is tried again with
    growing pauses until it is `give_up_after_s` old.
    """

    outbox: Outbox
    keyring: Keyring
    carrier: Carrier
    names: Names
    pace: Pace
    at_once: int
    timeout_s: float
    give_up_after_s: float
    now: Callable[[], datetime] = clock.now
    _flying: dict[asyncio.Task[Answer], Outgoing] = field(default_factory=dict)
    _answered: list[tuple[Outgoing, Answer]] = field(default_factory=list)
    _way: Way = field(default_factory=Way)

    async def turn(self) -> int:
        """Claims what there is room for, lets it fly, and writes what was answered. Returns how much it moved."""
        claimed = await self._launch()
        if self._flying:
            await asyncio.wait(self._flying, timeout=GATHER_S)
        return claimed + await self._land()

    async def close(self) -> None:
        """Waits a moment for answers and writes them; what is still open then runs out as a claim and is unknown."""
        if self._flying:
            await asyncio.wait(self._flying, timeout=CLOSE_WITHIN_S)
        await self._land()
        for task in self._flying:
            task.cancel()
        await asyncio.gather(*self._flying, return_exceptions=True)
        await self.carrier.close()

    async def _launch(self) -> int:
        room = self.at_once - len(self._flying)
        if room < self.at_once // 4:  # many at once: a claim costs a commit
            room = 0
        room = self._way.room(room, len(self._flying))
        room = self.pace.take(room) if room > 0 else 0
        if room == 0:
            return 0
        outgoing, looked_at = await self._claim(room)
        self.pace.give_back(room - len(outgoing))
        for message in outgoing:
            self._flying[asyncio.create_task(self._send(message))] = message
        IN_FLIGHT.labels(self.carrier.channel).set(len(self._flying))
        return looked_at

    async def _claim(self, limit: int) -> tuple[list[Outgoing], int]:
        """Commits claims before anything is sent. Returns what to send, and how many rows were due."""
        at = self.now()
        async with self.outbox.transaction() as transaction:
            tx = transaction.tx
            rows = await store.due_messages(tx, at, limit)
            if not rows:
                return [], 0
            due = [self._reach(row, at) for row in rows]
            if keyless := [d.row["message_id"] for d in due if d.waits]:
                await store.postpone(tx, keyless, at + timedelta(seconds=KEY_PAUSE_S))
                due = [d for d in due if not d.waits]
            tellable = [d.row["recipient_id"] for d in due if d.person and d.row["facts"] is None]
            untold: dict[str, list[asyncpg.Record]] = defaultdict(list)
            for decision in await store.untold_decisions(tx, tellable) if tellable else ():
                untold[decision["recipient_id"]].append(decision)
            claims: list[store.Claim] = []
            outgoing: list[Outgoing] = []
            told: list[store.ToldRow] = []
            for row, person, code, _, composed in due:
                message_id, recipient_id = row["message_id"], row["recipient_id"]
                decisions = untold[recipient_id] if row["facts"] is None else ()
                if code == EXPIRED:
                    claims.append(store.Claim(message_id, State.NOT_NEEDED, code, None, None))
                    continue
                if person is None:
                    claims.append(store.Claim(message_id, State.UNREACHABLE, code, None, None))
                    continue
                if row["facts"] is None and not decisions:
                    claims.append(store.Claim(message_id, State.NOT_NEEDED, "nothing_new", None, None))
                    continue
                composed = composed or self._compose(person, row["facts"], [decided_of(d) for d in decisions])
                claims.append(store.Claim(message_id, State.SENDING, None, composed.template, composed.language))
                outgoing.append(Outgoing(message_id, row["attempts"] + 1, row["created_at"], person.phone, composed))
                told += [
                    store.ToldRow(
                        recipient_id, d["programme"], d["revision"], d["eligible"], d["amount_idr"], message_id
                    )
                    for d in decisions
                ]
            await store.claim(tx, claims, at + timedelta(seconds=self.timeout_s + CLAIM_MARGIN_S))
            if told:
                await store.keep_told(tx, told)
        for claim in claims:
            MOVED.labels(self.carrier.channel, claim.state).inc()
        return outgoing, len(rows)

    def _reach(self, row: asyncpg.Record, at: datetime) -> _Due:
        """Of whom the key is missing waits alone: no other message stands behind it."""
        expires_at = row["expires_at"]
        if expires_at is not None and expires_at <= at:
            return _Due(row, None, EXPIRED)
        try:
            person = open_contact(self.keyring, row["recipient_id"], row["contact"])
            composed = None
            if is_code(row["facts"]):
                minutes = max(1, int((expires_at - at).total_seconds() // 60))
                composed = code_for(self.keyring, row["recipient_id"], person, row["facts"], minutes)
            return _Due(row, person, None, composed=composed)
        except Unreachable as error:
            return _Due(row, None, error.code)
        except KeyMissing as error:
            if error.key_id is None:
                raise
            log.error("a message waits for a key", message_id=row["message_id"], key_id=error.key_id, hint=error.hint)
            given_up = at - row["created_at"] >= timedelta(seconds=self.give_up_after_s)
            return _Due(row, None, "key_missing", waits=not given_up)

    def _compose(self, person: Person, facts: str | None, decisions: list[Decision]) -> Composed:
        if facts is not None:
            return payout_for(person, facts, self.names)
        return decisions_for(person, decisions, self.names)

    async def _send(self, message: Outgoing) -> Answer:
        began = monotonic()
        answer = await self.carrier.send(message.message_id, message.phone, message.composed)
        SEND_SECONDS.labels(self.carrier.channel).observe(monotonic() - began)
        ANSWERS.labels(self.carrier.channel, answer.verdict, answer.code or "").inc()
        return answer

    async def _land(self) -> int:
        """Writes the answers that came. They are kept until they are written, through any trouble with the database."""
        landed: list[tuple[Outgoing, Answer]] = []
        for task in [task for task in self._flying if task.done()]:
            message = self._flying.pop(task)
            if error := task.exception():
                log.error("a send failed in our own code", message_id=message.message_id, exc_info=error)
            landed.append((message, Answer("unknown", "send_failed") if error else task.result()))
        IN_FLIGHT.labels(self.carrier.channel).set(len(self._flying))
        self._way.heed([answer for _, answer in landed])
        self._answered += landed
        if not self._answered:
            return 0
        answered = list(self._answered)
        at = self.now()
        async with self.outbox.transaction() as transaction:
            await apply(transaction, [self._report(message, answer, at) for message, answer in answered], at)
        self._answered = self._answered[len(answered) :]
        return len(answered)

    def _report(self, message: Outgoing, answer: Answer, at: datetime) -> Report:
        fact = _FACTS[answer.verdict]
        if fact is not Fact.REFUSED_FOR_NOW:
            return Report(message.message_id, fact, answer.code, message.attempt)
        if at - message.created_at >= timedelta(seconds=self.give_up_after_s):
            return Report(message.message_id, Fact.REFUSED, answer.code, message.attempt)
        # When the way is closed for everybody, the sender waits, not each message by itself.
        failures = 0 if answer.everybody else message.attempt - 1
        pause_s = answer.pause_s + Backoff(RETRY_FIRST_S, RETRY_MOST_S, failures).next_s()
        return Report(message.message_id, fact, answer.code, message.attempt, at + timedelta(seconds=pause_s))


@dataclass(frozen=True, slots=True)
class Settler:
    """Claims that have run out become unknown."""

    outbox: Outbox
    now: Callable[[], datetime] = clock.now

    async def turn(self) -> int:
        at = self.now()
        async with self.outbox.transaction() as transaction:
            return await self._settle(transaction, at)

    async def _settle(self, transaction: Transaction, at: datetime) -> int:
        lost = await store.expired_claims(transaction.tx, at, SETTLE_MAX)
        if not lost:
            return 0
        rows = await store.lock_messages(transaction.tx, lost)
        reports = [Report(row["message_id"], Fact.LOST, "sender_died", row["attempts"]) for row in rows]
        log.warning("sends of a process that died are unknown", messages=len(reports))
        return await apply(transaction, reports, at)


@dataclass(frozen=True, slots=True)
class Measure:
    """How many messages wait to be sent, and since when, for the metrics. `turn` is a worker's turn."""

    outbox: Outbox
    channel: str

    async def turn(self) -> int:
        waiting, overdue_s = await store.waiting(self.outbox.pool, MEASURED_MAX)
        WAITING.labels(self.channel).set(waiting)
        OVERDUE_SECONDS.labels(self.channel).set(overdue_s)
        return 0


def workers(sender: Sender, settler: Settler) -> tuple[Worker, ...]:
    measure = Measure(sender.outbox, sender.carrier.channel)
    return (
        Worker("send", sender.turn, pause_s=0.1),
        Worker("settle", settler.turn, pause_s=2.0),
        Worker("measure", measure.turn, pause_s=10.0),
    )
