"""The registry's part of a recovery: what was answered stays answered, and as it was.

Events say what each answer was, and nothing of what the submission said. So submissions are read again as they were
read when they were answered: their digests recognise repeats, and statements about flags are known by no other way.
"""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import asyncpg

from services.registry import recovery_store, store
from services.registry.domain.checks import Facts, Flagging
from services.registry.domain.fold import Flag
from services.registry.handler import SERVICE, Handler, id_reused
from services.registry.reading import Read, source_of
from services.registry.recovery_store import Found, Key, ToldAnswer, ToldRecipient, ToldResealed, ToldReused
from services.registry.service import make_handler
from services.registry.settings import Settings
from services.registry.settling import stated
from services.registry.sources import Sources
from shared.events import (
    Event,
    FlagRejected,
    RecipientFlagged,
    RecipientRegistered,
    RecipientResealed,
    RegistrationRejected,
    RegistrationUnchanged,
)
from shared.events.topics import Service
from shared.privacy import Keyring
from shared.runtime import Batch, Received
from shared.runtime.recovery import CannotRecover

_ANSWERS: Final = {
    RecipientRegistered.TYPE: "registered",
    RegistrationUnchanged.TYPE: "unchanged",
    RegistrationRejected.TYPE: "rejected",
    RecipientFlagged.TYPE: "flagged",
    FlagRejected.TYPE: "rejected",
}
_OF_FLAGS: Final = frozenset({RecipientFlagged.TYPE, FlagRejected.TYPE})


def build(settings: Settings, keyring: Keyring) -> "RegistryRecovery":
    """With the keys that the registry itself has. Raises SourcesInvalid, KeyMissing."""
    sources = Sources.load(settings.sources)
    return RegistryRecovery(make_handler(sources, keyring), sources.topics())


@dataclass(slots=True)
class RegistryRecovery:
    """An Importer."""

    handler: Handler
    inputs: tuple[str, ...]
    service: Service = SERVICE
    until: datetime | None = None
    _untold: set[str] | None = None
    """recipients whose last change was never told; None before the first input"""
    _unanswered: list[tuple[Received, bytes]] = field(default_factory=list)
    """their registrations without an answer, with a digest of the facts: one of them made that change"""
    _summary: Counter[str] = field(default_factory=Counter)

    async def prepare(self, tx: asyncpg.Connection) -> None:
        await recovery_store.prepare(tx)

    async def told(self, tx: asyncpg.Connection, events: Sequence[Event[Any]]) -> None:
        await recovery_store.keep_resealed(tx, [_resealed(e) for e in events if e.type == RecipientResealed.TYPE])
        events = [event for event in events if event.type in _ANSWERS]
        reused = [event for event in events if _says_reused(event)]
        await recovery_store.keep(
            tx,
            [_answer(event) for event in events if not _says_reused(event)],
            [ToldReused(e.id, e.data.submission.source, e.data.submission.id, e.time) for e in reused],
            [_recipient(event) for event in events if event.type == RecipientRegistered.TYPE],
            [(event.subject, event.data.revision) for event in events if event.type == RecipientFlagged.TYPE],
        )

    async def read_again(self, tx: asyncpg.Connection, received: Sequence[Received]) -> None:
        untold = await self._begun(tx)
        keys = [(source_of(*one), one.event.id) for one in received]
        answers = await recovery_store.answers_of(tx, set(keys))
        reused = await recovery_store.reused_of(tx, set(keys))
        found: dict[Key, Found] = {}
        found_reused: list[tuple[str, bytes]] = []
        statements: list[Read] = []
        for key, one in zip(keys, received, strict=True):
            answer = answers.get(key)
            if answer is not None and key not in found:
                read = self._read(one, answer["answered_at"])
                if _is_reused(read, reused.get(key, ()), found_reused) or not _is_answered_by(read, answer):
                    continue
                found[key] = self._found(read)
                if isinstance(read.content, Flagging):
                    statements.append(read)
            elif key in reused:
                _is_reused(self._read(one, reused[key][0]["answered_at"]), reused[key], found_reused)
            elif untold and answer is None:
                read = self._read(one, one.event.time)
                if read.recipient in untold and isinstance(read.content, Facts):
                    self._unanswered.append((one, self.handler.settling.content_digest(read.content)))
        await recovery_store.keep_found(tx, list(found.values()), found_reused)
        await _fold_flags(tx, statements)

    async def finish(self, tx: asyncpg.Connection, at: datetime) -> AsyncIterator[Sequence[Event[Any]]]:
        await self._begun(tx)
        missing, example = await recovery_store.not_found(tx)
        if example:
            raise CannotRecover(
                f"{missing} submissions were answered and are not on their intake topics any more, such as "
                f"{example[1]} of {example[0]}",
                hint="what they said is gone, so repeats could not be recognised: a newer backup is needed",
            )
        self._summary["submissions_answered"] = await recovery_store.import_answers(tx)
        self._summary["recipients"] = await recovery_store.import_recipients(tx)
        self._summary["sealed_anew"] = await recovery_store.import_resealed(tx)
        if changes := await self._lost_changes(tx):
            told = await self.handler.handle(Batch(changes, at), tx)
            self._summary["lost_events_told_again"] = len(told)
            yield told
        await recovery_store.move_winners(tx)

    async def _lost_changes(self, tx: asyncpg.Connection) -> list[Received]:
        """The registrations behind changes that were never told: those that say what another was told to repeat, else
        all that have no answer. Whatever is left the stage answers when it reads it again."""
        repeated = await recovery_store.facts_repeated(tx, self._untold or set())
        changes = []
        for one, digest in self._unanswered:
            read = self._read(one, one.event.time)
            if repeated.get(read.recipient or "", digest) == digest:
                changes.append(one)
        return changes

    def summary(self) -> dict[str, int]:
        return dict(self._summary)

    async def _begun(self, tx: asyncpg.Connection) -> set[str]:
        if self._untold is None:
            await recovery_store.import_people(tx)
            self._untold = await recovery_store.changes_untold(tx)
        return self._untold

    def _read(self, one: Received, at: datetime) -> Read:
        """As it was read at that time: some checks look at the clock."""
        return self.handler.reader.read([one], at)[0]

    def _found(self, read: Read) -> Found:
        facts = self.handler.settling.content_digest(read.content) if isinstance(read.content, Facts) else None
        if read.erased:
            facts = read.digest  # nobody can tell any more what it said: whatever comes next says something else
        submitted_at = read.submitted_at if read.plausible else None
        return Found(read.source, read.id, read.digest, facts, read.recipient, submitted_at)


async def _fold_flags(tx: asyncpg.Connection, statements: Sequence[Read]) -> None:
    """Statements that were told of take their places, in whatever order they are read."""
    if not statements:
        return
    known = await store.flags(tx, {read.recipient for read in statements if read.recipient})
    winning: dict[tuple[str, str], Flag] = {}
    for read in statements:
        assert read.recipient
        code, flag = stated(read)
        stands = winning.get((read.recipient, code))
        if stands is None and read.recipient in known:
            stands = known[read.recipient].by_code.get(code)
        if stands is None or flag.won_by > stands.won_by:
            winning[read.recipient, code] = flag
    rows = [
        store.FlagRow(recipient, code, flag.raised, flag.won_by.since, *flag.won_by.submission)
        for (recipient, code), flag in winning.items()
    ]
    await store.save_flags(tx, rows, {})


def _is_reused(read: Read, told: Sequence[asyncpg.Record], found: list[tuple[str, bytes]]) -> bool:
    """Whether this content was told to have come under a used id; the event's id follows from the content."""
    event_id = id_reused(read, read.submitted_at).id
    if event_id not in {row["event_id"] for row in told}:
        return False
    found.append((event_id, read.digest))
    return True


def _is_answered_by(read: Read, answer: asyncpg.Record) -> bool:
    """Whether the answer is about this content: another one may have come under the same id."""
    if read.erased:
        return True
    subject = answer["subject"]
    return read.kind == answer["kind"] and read.recipient == (subject if subject.startswith("r-") else None)


def _says_reused(event: Event[Any]) -> bool:
    problems = getattr(event.data, "problems", ())
    return [(p.field, p.code) for p in problems] == [("id", "id_reused")]


def _answer(event: Event[Any]) -> ToldAnswer:
    data, answer = event.data, _ANSWERS[event.type]
    ref = data.submission
    return ToldAnswer(
        ref.source,
        ref.id,
        "flag" if event.type in _OF_FLAGS else "registration",
        event.subject,
        answer,
        getattr(data, "change", None) or getattr(data, "reason", None),
        [f"{p.field}:{p.code}" for p in data.problems] if answer == "rejected" else None,
        event.time,
        getattr(data, "revision", None),
        ref.submitted_at,
    )


def _recipient(event: Event[RecipientRegistered]) -> ToldRecipient:
    data = event.data
    return ToldRecipient(
        event.subject,
        data.revision,
        data.registered_at,
        data.submission.source,
        data.submission.id,
        data.submission.submitted_at,
        data.family_id,
        data.village,
        data.decile,
        data.eligibility.value,
        data.payment.value if data.payment else None,
        data.contact.value if data.contact else None,
    )


def _resealed(event: Event[RecipientResealed]) -> ToldResealed:
    data = event.data
    parts = (data.eligibility, data.payment, data.contact)
    return ToldResealed(event.subject, data.revision, *(part.value if part else None for part in parts))
