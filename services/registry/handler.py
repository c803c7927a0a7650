"""A batch of submissions in, exactly one answer to each out."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import asyncpg

from services.registry import store
from services.registry.domain.fold import (
    Submission,
    Verdict,
    sort_out,
)
from services.registry.domain.problems import problem
from services.registry.reading import Read, Reader
from services.registry.settling import Settling, Verdicts, ref
from shared.events import (
    Data,
    Event,
    FlagRejected,
    RegistrationRejected,
    caused_by,
)
from shared.events.topics import Service
from shared.runtime import Batch

SERVICE: Final[Service] = "registry"
_BREATHE_EVERY: Final = 128
"""Messages opened before others of this process get a turn: some 15 ms."""


@dataclass(frozen=True, slots=True)
class Handler:
    """The registry's stage."""

    reader: Reader
    settling: Settling

    async def handle(self, batch: Batch, tx: asyncpg.Connection) -> Sequence[Event[Any]]:
        """One answer to each submission that had none. Raises what the database raises, and KeyMissing."""
        read = await self._read(batch)
        recipients = sorted({r.recipient for r in read if r.recipient and r.content})
        new_people = await store.lock_people(tx, recipients) if recipients else frozenset()
        known = [recipient for recipient in recipients if recipient not in new_people]
        registered = await store.registered(tx, known) if known else {}
        flags = await store.flags(tx, known) if known else {}
        while True:
            answered = await store.answered(tx, [r.key for r in read])
            fresh, reused = sort_out([_recognised(r, answered) for r in read], answered)
            verdicts = self.settling.settle(read, fresh, registered, flags, batch.at)
            rows = [_answer_row(read[i], verdicts.answers.get(i), batch.at) for i in fresh]
            if not rows or await store.record_answers(tx, rows):
                break
        await self._write(tx, verdicts)
        told = await self._tell_reused(tx, [read[i] for i in reused], batch.at) if reused else []
        return [*(_answer(read[i], verdicts.events.get(i), batch.at) for i in fresh), *told]

    async def _read(self, batch: Batch) -> list[Read]:
        read: list[Read] = []
        for start in range(0, len(batch), _BREATHE_EVERY):
            read += self.reader.read(batch.received[start : start + _BREATHE_EVERY], batch.at)
            await asyncio.sleep(0)
        return read

    async def _write(self, tx: asyncpg.Connection, verdicts: Verdicts) -> None:
        if verdicts.new:
            await store.insert_recipients(tx, verdicts.new)
        if verdicts.updated:
            await store.update_recipients(tx, verdicts.updated)
        if verdicts.moved:
            await store.move_winners(tx, verdicts.moved)
        if verdicts.flag_revisions:
            await store.save_flags(tx, verdicts.flag_rows, verdicts.flag_revisions)

    async def _tell_reused(self, tx: asyncpg.Connection, read: Sequence[Read], at: datetime) -> list[Event[Any]]:
        told = await store.record_reused(tx, [(r.source, r.id, r.digest) for r in read], at)
        return [id_reused(r, at) for r in read if (r.source, r.id, r.digest) in told]


def id_reused(one: Read, at: datetime) -> Event[Any]:
    """This content came under an id that stands for another one. The event's id follows from the content."""
    return _rejected(one, (problem("id", "id_reused"),), at, distinct=("id_reused", one.digest.hex()))


def _recognised(one: Read, answered: Mapping[store.Key, bytes]) -> Submission:
    """What can no longer be opened is taken for a repeat of what was answered under its id."""
    return Submission(one.key, answered.get(one.key, one.digest) if one.erased else one.digest)


def _answer(one: Read, data: Data | None, at: datetime) -> Event[Any]:
    if data is None or one.recipient is None:
        return _rejected(one, one.problems, at)
    return caused_by(one.cause, SERVICE, data, subject=one.recipient, time=at, distinct=(one.source,))


def _rejected(one: Read, problems: Sequence[Any], at: datetime, distinct: tuple[str, ...] = ()) -> Event[Any]:
    """Keyed by the recipient where the NIK is valid, else by the submission's own id."""
    model = RegistrationRejected if one.kind == "registration" else FlagRejected
    data = model(submission=ref(one), problems=tuple(problems))
    return caused_by(one.cause, SERVICE, data, subject=_subject(one), time=at, distinct=(one.source, *distinct))


def _subject(one: Read) -> str:
    """A source may call its submissions what it likes, but neither as people are called nor by a person's number."""
    if any(p.code == "id_personal" for p in one.problems):
        return f"s-{one.digest.hex()}"
    return one.recipient or (f"s-{one.id[2:]}" if one.id.startswith("r-") else one.id)


def _answer_row(one: Read, answer: tuple[str, Verdict | None] | None, at: datetime) -> store.AnswerRow:
    given, detail = answer or ("rejected", None)
    submitted_at = one.submitted_at if one.plausible else None
    problems = None if answer else [f"{p.field}:{p.code}" for p in one.problems]
    return store.AnswerRow(
        one.source, one.id, one.kind, one.digest, one.recipient, given, detail, problems, submitted_at, at
    )
