"""Decisions, payouts and codes in; rows that say what is to be told. Events leave later, as a message leaves."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final, Literal, cast

import asyncpg
import orjson

from services.notify import store
from services.notify.domain.purposes import (
    CODE,
    DECISIONS,
    Channel,
    Existing,
    about_payout,
    code_purpose,
    message_id,
    payout_purpose,
    plan_decisions,
)
from services.notify.domain.states import State
from shared.events.access import CodeIssued
from shared.events.eligibility import EligibilityDecided
from shared.events.envelope import Event
from shared.events.payouts import PayoutConfirmed, PayoutFailed
from shared.events.registrations import RecipientResealed
from shared.privacy.sealed import Sealed
from shared.runtime.resealed import Values, values_in
from shared.runtime.stage import Batch

INPUTS: Final = (
    EligibilityDecided.TYPE,
    PayoutConfirmed.TYPE,
    PayoutFailed.TYPE,
    CodeIssued.TYPE,
    RecipientResealed.TYPE,
)

Decided = Event[EligibilityDecided]
Paid = Event[PayoutConfirmed] | Event[PayoutFailed]


@dataclass(frozen=True, slots=True)
class Handler:
    """`quiet_time_s` is how long news waits for more of the same, so that one message tells all of it."""

    quiet_time_s: float
    channel: Channel = "whatsapp"

    async def __call__(self, batch: Batch, tx: asyncpg.Connection) -> Sequence[Event[Any]]:
        decisions = batch.of(EligibilityDecided)
        payouts = cast("list[Paid]", batch.of(PayoutConfirmed, PayoutFailed))
        await store.keep_contacts(tx, _contacts(decisions, payouts))
        if decisions:
            await self._decisions(batch, decisions, tx)
        if payouts:
            await self._payouts(batch, payouts, tx)
        if codes := batch.of(CodeIssued):
            await self._codes(batch, codes, tx)
        if values := values_in(batch):
            await store.reseal_contacts(tx, with_unregistered(values))
        return ()

    async def _decisions(self, batch: Batch, decisions: Sequence[Decided], tx: asyncpg.Connection) -> None:
        newest = _newest(decisions)
        reasons = {row.digest: row for row in map(_reason_row, newest)}
        await store.keep_reasons(tx, list(reasons.values()))
        took_effect = await store.keep_decisions(tx, [_decision_row(event) for event in newest])
        by_recipient: dict[str, dict[str, Decided]] = defaultdict(dict)
        for event in newest:
            if (event.subject, event.data.programme) in took_effect:
                by_recipient[event.subject].setdefault(_cause_of(event), event)
        existing = await _existing(tx, [(recipient, DECISIONS) for recipient in by_recipient])
        replaced: list[str] = []
        added: list[store.MessageRow] = []
        for recipient, causes in by_recipient.items():
            held = existing.get((recipient, DECISIONS), ())
            plan = plan_decisions(causes, [Existing(r["message_id"], r["purpose"], State(r["state"])) for r in held])
            replaced += plan.replaced
            for cause, purpose, state in plan.added:
                added.append(self._message(batch, causes[cause], purpose, DECISIONS, state=state))
        await self._write(tx, replaced, added)

    async def _payouts(self, batch: Batch, payouts: Sequence[Paid], tx: asyncpg.Connection) -> None:
        newest: dict[tuple[str, str], Paid] = {}
        for event in payouts:
            key = event.subject, about_payout(event.data.cycle)
            if key not in newest or newest[key].data.revision < event.data.revision:
                newest[key] = event
        existing = await _existing(tx, list(newest))
        replaced: list[str] = []
        added: list[store.MessageRow] = []
        for key, event in newest.items():
            held = existing.get(key, ())
            if any(row["about_revision"] >= event.data.revision for row in held):
                continue  # told already, or overtaken before it came
            replaced += [row["message_id"] for row in held if row["state"] == State.WAITING]
            purpose = payout_purpose(event.data.cycle, event.data.attempt, _outcome(event))
            added.append(self._message(batch, event, purpose, key[1], event.data.revision, _payout_facts(event)))
        await self._write(tx, replaced, added)

    async def _codes(self, batch: Batch, codes: Sequence[Event[CodeIssued]], tx: asyncpg.Connection) -> None:
        """One waits for each recipient, the last that expires. What has expired is not told any more."""
        newest: dict[tuple[str, str], Event[CodeIssued]] = {}
        for event in codes:
            key = event.subject, CODE
            if key not in newest or newest[key].data.expires_at < event.data.expires_at:
                newest[key] = event
        existing = await _existing(tx, list(newest))
        replaced: list[str] = []
        added: list[store.MessageRow] = []
        for key, event in newest.items():
            held, purpose = existing.get(key, ()), code_purpose(event.data.request)
            if event.data.expires_at <= batch.at or any(row["purpose"] == purpose for row in held):
                continue
            replaced += [row["message_id"] for row in held if row["state"] == State.WAITING]
            message = self._message(batch, event, purpose, CODE, facts=_code_facts(event))
            added.append(message._replace(due_at=batch.at, urgent=True, expires_at=event.data.expires_at))
        await self._write(tx, replaced, added)

    async def _write(self, tx: asyncpg.Connection, replaced: Sequence[str], added: Sequence[store.MessageRow]) -> None:
        if replaced:
            await store.supersede(tx, replaced, "replaced")
        if added:
            await store.add_messages(tx, added)

    def _message(
        self,
        batch: Batch,
        event: Event[Any],
        purpose: str,
        about: str,
        about_revision: int = 0,
        facts: str | None = None,
        state: State = State.WAITING,
    ) -> store.MessageRow:
        cause = event.cause
        return store.MessageRow(
            message_id=message_id(event.subject, purpose, self.channel),
            recipient_id=event.subject,
            purpose=purpose,
            channel=self.channel,
            about=about,
            about_revision=about_revision,
            facts=facts,
            state=state,
            created_at=batch.at,
            due_at=batch.at + timedelta(seconds=self.quiet_time_s),
            cause_id=cause.event_id,
            correlation_id=cause.correlation_id,
            traceparent=cause.traceparent,
        )


def with_unregistered(values: Sequence[Values]) -> list[Values]:
    """Also for contacts of which only a payout told so far: of each recipient the last registration's."""
    newest: dict[str, Values] = {}
    for row in values:
        if row.recipient_id not in newest or newest[row.recipient_id].sequence < row.sequence:
            newest[row.recipient_id] = row
    return [*values, *(row._replace(revision=0) for row in newest.values())]


async def _existing(
    tx: asyncpg.Connection, keys: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], list[asyncpg.Record]]:
    """Messages by recipient and what they are about."""
    found: dict[tuple[str, str], list[asyncpg.Record]] = {}
    if keys:
        for row in await store.lock_messages_about(tx, [r for r, _ in keys], [about for _, about in keys]):
            found.setdefault((row["recipient_id"], row["about"]), []).append(row)
    return found


def _newest(decisions: Sequence[Decided]) -> list[Decided]:
    """The highest revision of each recipient and programme, in the order in which they came."""
    newest: dict[tuple[str, str], Decided] = {}
    for event in decisions:
        key = event.subject, event.data.programme
        known = newest.get(key)
        if known is None or known.data.revision < event.data.revision:
            newest.pop(key, None)
            newest[key] = event
    return list(newest.values())


def _cause_of(event: Decided) -> str:
    return event.causationid or event.id


def _contacts(decisions: Sequence[Decided], payouts: Sequence[Paid]) -> list[store.ContactRow]:
    """What each recipient's newest registration says; a payout's counts only where nothing else is known."""
    newest: dict[str, tuple[int, str | None]] = {}
    for paid in payouts:
        newest[paid.subject] = (0, _text(paid.data.contact))
    for event in decisions:
        revision = event.data.registration_revision
        known = newest.get(event.subject)
        if known is None or known[0] < revision:
            newest[event.subject] = (revision, _text(event.data.contact))
    return [store.ContactRow(recipient, *held) for recipient, held in newest.items()]


def _text(sealed: Sealed | None) -> str | None:
    return None if sealed is None else sealed.value


def _decision_row(event: Decided) -> store.DecisionRow:
    data = event.data
    return store.DecisionRow(
        event.subject,
        data.programme,
        data.revision,
        data.outcome == "eligible",
        data.amount_idr,
        _reason_row(event).digest,
    )


def _reason_row(event: Decided) -> store.ReasonRow:
    main = event.data.reasons[0]
    return _reason(main.code, main.text.id, main.text.en)


@lru_cache(maxsize=4096)
def _reason(code: str, text_id: str, text_en: str) -> store.ReasonRow:
    digest = blake2b("\0".join((code, text_id, text_en)).encode(), digest_size=8).digest()
    return store.ReasonRow(digest, code, text_id, text_en)


def _code_facts(event: Event[CodeIssued]) -> str:
    """The sealed code and where it opens, as JSON; `wording.code_for` reads it when the message leaves."""
    return orjson.dumps({"request": event.data.request, "code": event.data.code.value}).decode()


def _outcome(event: Paid) -> Literal["confirmed", "failed"]:
    return "confirmed" if isinstance(event.data, PayoutConfirmed) else "failed"


def _payout_facts(event: Paid) -> str:
    """What the message will say, as JSON; `wording.payout_of` reads it."""
    data = event.data
    facts: dict[str, Any] = {"programme": data.programme, "cycle": data.cycle, "amount_idr": data.amount_idr}
    if isinstance(data, PayoutConfirmed):
        facts |= {"channel": data.channel, "at": data.confirmed_at}
    else:
        facts |= {"code": data.code, "id": data.text.id, "en": data.text.en}
    return orjson.dumps(facts).decode()
