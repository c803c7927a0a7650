"""The portal without Kafka: the real handler and turn on a real PostgreSQL, and a small story for it to hear."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg

from services.portal.ends import AskEnds, Ends
from services.portal.handler import INPUTS, handle
from shared.events import (
    Advice,
    AlertCleared,
    AlertRaised,
    CycleApproved,
    CycleProposed,
    DeadLetter,
    EligibilityDecided,
    Event,
    FlagRejected,
    NotificationDelivered,
    NotificationFailed,
    NotificationSent,
    Origin,
    PayoutConfirmed,
    PayoutFailed,
    PayoutOrdered,
    PayoutQueued,
    Problem,
    Reason,
    RecipientFlagged,
    RecipientRegistered,
    RegistrationRejected,
    RegistrationUnchanged,
    SubmissionRef,
    Text,
    caused_by,
    first_cause,
)
from shared.events.codec import encode
from shared.events.topics import dead_letter_topic
from shared.partition import partition_of
from shared.postgres import migrate, open_pool
from shared.privacy import keyfile
from shared.privacy.keyring import Keyring
from shared.runtime.emit import Outbox
from shared.runtime.positions import Place, read
from shared.runtime.stage import Message, Stage
from shared.runtime.turn import Turn

AT = datetime(2026, 11, 24, 7, 0, tzinfo=UTC)
PARTITIONS = 2
VILLAGE, NEXT_VILLAGE, ELSEWHERE = "7604012001", "7604012002", "7604022001"
_WHY = Text(id="Memenuhi syarat.", en="Meets every condition.")
READ_MODEL = ("recipient", "flagged", "submission", "decision", "payout", "message", "cycle", "dead_letter", "alert")


def recipient(number: int) -> str:
    return f"r-{number:032x}"


@dataclass
class Desk:
    """One instance of the service."""

    pool: asyncpg.Pool
    outbox: Outbox
    keyring: Keyring
    turn: Turn
    url: str
    offset: dict[Place, int] = field(default_factory=dict)

    async def hand(self, events: Sequence[Event[Any]]) -> None:
        """One turn of the stage over these events, each at the next place of its topic."""
        messages = []
        for event in events:
            topic = dead_letter_topic("registry") if event.type == DeadLetter.TYPE else event.type
            place = Place(topic, partition_of(event.subject.encode(), PARTITIONS))
            offset = self.offset.get(place, 0)
            self.offset[place] = offset + 1
            messages.append(Message(*place, offset, offset, event.subject.encode(), encode(event), 0))
        await self.turn.handle(messages)
        assert not await self.pool.fetchval("SELECT count(*) FROM outbox"), "nothing was poison"

    def ends_now(self, now: Callable[[], datetime]) -> AskEnds:
        """Where the topics end of which `hand` gives the messages; `offset` says so."""

        async def ask() -> Ends:
            return Ends(now(), dict(self.offset))

        return ask

    async def picture(self) -> dict[str, list[tuple[Any, ...]]]:
        """The whole read model, but for places in Kafka, which a second delivery changes."""
        held = {name: await self._rows(f"SELECT * FROM {name}") for name in READ_MODEL}
        held["dead_letter"] = await self._rows("SELECT event_id, service, code, origin_topic, at FROM dead_letter")
        held["happening"] = await self._rows("SELECT recipient_id, at, event_id, type, facts::text FROM happening")
        held["tally"] = await self._rows("SELECT * FROM tally WHERE rows > 0")
        return held

    async def _rows(self, query: str) -> list[tuple[Any, ...]]:
        return sorted((tuple(row) for row in await self.pool.fetch(query)), key=repr)

    async def counted(self) -> dict[tuple[str, ...], tuple[int, int]]:
        rows = await self.pool.fetch("SELECT * FROM tally WHERE rows > 0")
        return {tuple(row)[:4]: tuple(row)[4:] for row in rows}


@asynccontextmanager
async def open_desk(database: str, keys: Path) -> AsyncIterator[Desk]:
    path = keys / "keys.json"
    keyfile.ensure(path)
    await migrate(database, "portal")
    pool = await open_pool(database, "portal")
    keyring = Keyring.load(path)
    outbox = Outbox("portal", pool, PARTITIONS)
    turn = Turn(Stage("portal", INPUTS, handle), outbox, keyring)
    places = {Place(topic, p): 0 for topic in INPUTS for p in range(PARTITIONS)}
    turn.positions.update(await read(pool, places))
    try:
        yield Desk(pool, outbox, keyring, turn, database)
    finally:
        pool.terminate()


def story(
    number: int = 1, *, village: str = VILLAGE, moves_to: str | None = None, who: str | None = None
) -> list[Event[Any]]:
    """A family is registered, decided, paid at the second attempt and told; all that the topics would carry."""
    who, at = who or recipient(number), AT + timedelta(seconds=number)
    cause = first_cause(f"form-{number}", "village-app")

    def said(service: Any, data: Any, minutes: int, *distinct: str, subject: str = who) -> Event[Any]:
        return caused_by(cause, service, data, subject=subject, time=at + timedelta(minutes=minutes), distinct=distinct)

    def registered(revision: int, where: str) -> RecipientRegistered:
        return RecipientRegistered(
            revision=revision,
            change="new" if revision == 1 else "updated",
            submission=_submission(f"form-{number}-{revision}"),
            registered_at=at,
            family_id=f"f-{number:032x}",
            village=where,
            decile=2,
            eligibility=_SEALED,
        )

    def decided(revision: int, eligible: bool) -> EligibilityDecided:
        return EligibilityDecided(
            programme="sembako",
            programme_version=1,
            revision=revision,
            outcome="eligible" if eligible else "ineligible",
            amount_idr=200_000 if eligible else 0,
            reasons=(Reason(code="meets_conditions" if eligible else "decile_too_high", text=_WHY),),
            registration_revision=1,
            flag_revision=0,
            village=village,
            decile=2,
            waiting_since=at,
        )

    payout: dict[str, Any] = {
        "cycle": "sembako-2026-11",
        "programme": "sembako",
        "amount_idr": 200_000,
        "decision_revision": 2,
        "village": village,
    }
    attempt = {"attempt": 1, "reference": f"ref-{number}", "channel": "himbara"}
    message = {
        "message_id": f"m-{number:032x}",
        "channel": "whatsapp",
        "template": "decision_1",
        "purpose": "decision:x",
    }
    told = [
        said("registry", registered(1, village), 0, "1"),
        said(
            "registry",
            RegistrationUnchanged(revision=1, submission=_submission(f"again-{number}"), reason="identical"),
            1,
        ),
        said(
            "registry",
            RegistrationRejected(submission=_submission(f"form-{number}-1"), problems=(_REUSED,)),
            1,
            "id_reused",
        ),
        said("registry", RecipientFlagged(revision=1, submission=_submission(f"flag-{number}"), flags=_SEALED), 1),
        said("registry", RegistrationRejected(submission=_submission(f"bad-{number}"), problems=(_PROBLEM,)), 2),
        said(
            "registry",
            FlagRejected(submission=_submission(f"bad-flag-{number}"), problems=(_PROBLEM,)),
            2,
            subject=f"s{number}",
        ),
        said("eligibility", decided(1, False), 2, "1"),
        said("eligibility", decided(2, True), 3, "2"),
        said("payout", PayoutQueued(**payout, revision=1, place=number), 4),
        said("payout", PayoutOrdered(**payout, **attempt, revision=2), 5, "2"),
        said("payout", PayoutFailed(**payout, **attempt, revision=3, code="account_closed", text=_WHY), 6),
        said("payout", PayoutOrdered(**payout, **attempt | {"attempt": 2}, revision=4), 7, "4"),
        said("notify", NotificationSent(**message, revision=1), 8),
        said("notify", NotificationFailed(**message, revision=2, code="not_reachable"), 9),
        said("notify", NotificationDelivered(**message, revision=3), 10),
        said(
            "payout",
            PayoutConfirmed(**payout, **attempt | {"attempt": 2}, revision=5, bank_reference="B1", confirmed_at=at),
            11,
        ),
    ]
    if moves_to:
        told.append(said("registry", registered(2, moves_to), 12, "2"))
    return told


def cycle_and_dead() -> list[Event[Any]]:
    """What is about nobody: a cycle, proposed by one and approved by another, and a message that was poison."""
    cycle = {"cycle": "sembako-2026-11", "programme": "sembako", "period": "2026-11", "budget_idr": 10_000_000}
    origin = Origin(topic="registration.submitted.x", partition=0, offset=3)
    dead = DeadLetter(origin=origin, code="not_json", reason="the message is not a JSON object", body_bytes=3)
    cause = first_cause("sembako-2026-11", "payout")
    proposed = CycleProposed(**cycle, mode="continuous", by="Ani")
    advice = Advice(what=_WHY, look=_WHY, do=_WHY)
    alert: dict[str, Any] = {
        "rule": "budget-nearly-used",
        "about": "sembako-2026-11",
        "raising": 1,
        "level": "warning",
        "since": AT,
        "threshold": 0.9,
        "runbook": "docs/runbooks/budget-nearly-used.md",
        "advice": advice,
    }
    raised, cleared = AlertRaised(**alert, value=0.95), AlertCleared(**alert, value=0.5, cleared_at=AT)
    return [
        caused_by(cause, "monitor", raised, subject="budget-nearly-used/sembako-2026-11", time=AT),
        caused_by(cause, "monitor", cleared, subject="budget-nearly-used/sembako-2026-11", time=AT),
        caused_by(cause, "payout", proposed, subject="sembako-2026-11", time=AT),
        caused_by(cause, "payout", CycleApproved(**cycle, by="Budi"), subject="sembako-2026-11", time=AT),
        caused_by(first_cause("x/0/3", "x"), "registry", dead, subject="x/0/3", time=AT),
    ]


def _submission(id_: str) -> SubmissionRef:
    return SubmissionRef(source="village-app", id=id_, submitted_at=AT)


_REUSED = Problem(field="id", code="id_reused", text=_WHY)
_PROBLEM = Problem(field="nik", code="nik_invalid", text=_WHY)
_SEALED: Any = "eli-aaaaaaaa." + "A" * 120
