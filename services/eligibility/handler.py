"""Registrations and flags in, decisions out. What is known comes again under newer keys: nothing follows from that."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from services.eligibility import store
from services.eligibility.casefile import Casefile, Office
from services.eligibility.domain.book import Decision, Registration
from services.eligibility.domain.facts import Facts, FactsInvalid
from shared.errors import CannotOpen, KeyMissing
from shared.events.eligibility import EligibilityDecided
from shared.events.envelope import Event
from shared.events.registrations import RecipientFlagged, RecipientRegistered, RecipientResealed
from shared.runtime.resealed import flags_in, values_in
from shared.runtime.stage import Batch, KeyAway, Unusable


@dataclass(frozen=True, slots=True)
class Handler:
    """Every event that is newer than what is known leads to one decision a programme about its recipient, and to one
    for whoever's place on the family card turns with it. Older ones and repeats lead to nothing."""

    office: Office

    async def handle(self, batch: Batch, tx: asyncpg.Connection) -> list[Event[EligibilityDecided]]:
        """Raises Unusable with the events whose facts do not open, KeyAway with those whose key is not here, Meanwhile
        and KeyMissing (trouble)."""
        news = Batch([one for one in batch if one.event.type != RecipientResealed.TYPE], batch.at)
        opened = self._opened(news)
        rows = await store.lock_recipients(tx, sorted({event.subject for _, event in batch}))
        answers = await self._decide(news, opened, rows, tx) if len(news) else []
        if len(news) < len(batch):
            await store.reseal(tx, values_in(batch), flags_in(batch))
        return answers

    async def _decide(
        self, batch: Batch, opened: Sequence[Any], locked: Sequence[store.Recipient], tx: asyncpg.Connection
    ) -> list[Event[EligibilityDecided]]:
        named = {event.subject for _, event in batch}
        rows = [row for row in locked if row.recipient_id in named]
        registrations = batch.of(RecipientRegistered)
        joining = {event.data.family_id for event in registrations}
        casefile = await Casefile.open(self.office, batch.at, tx, rows, joining)
        answers: list[Event[EligibilityDecided]] = []
        for (_, event), content in zip(batch, opened, strict=True):
            if decisions := self._apply(casefile, event, content):
                answers += casefile.answer(decisions, event.cause, by_rules=False)
        await casefile.close(tx)
        return answers

    def _opened(self, batch: Batch) -> list[Any]:
        """Facts or flags of each event; before anything is read, for a batch that cannot be used costs enough so.

        All that do not open are named at once: where a key is wrong there is rarely one.
        """
        opened: list[Any] = []
        unusable: list[Event[Any]] = []
        faults: set[str] = set()
        keyless: list[tuple[Event[Any], str]] = []
        for _, event in batch:
            try:
                opened.append(self._open(event))
            except (CannotOpen, FactsInvalid) as error:
                unusable.append(event)
                faults.add(type(error).__name__)
            except KeyMissing as error:
                if error.key_id is None:
                    raise
                keyless.append((event, error.key_id))
        if keyless:
            raise KeyAway(keyless)
        if unusable:
            named = ", ".join(sorted(faults))
            raise Unusable(
                unusable, f"{named}: what is sealed in it is damaged, or was sealed for another recipient or purpose"
            )
        return opened

    def _open(self, event: Event[RecipientRegistered | RecipientFlagged]) -> Facts | frozenset[str] | None:
        opener, data = self.office.opener, event.data
        if isinstance(data, RecipientFlagged):
            return opener.flags(event.subject, data.flags)
        return opener.facts(event.subject, data.eligibility)

    def _apply(
        self, casefile: Casefile, event: Event[RecipientRegistered | RecipientFlagged], opened: Any
    ) -> list[Decision] | None:
        """What one event changes. None: nothing, it is older than what is known."""
        person, data = casefile.book.person(event.subject), event.data
        if isinstance(data, RecipientFlagged):
            if data.revision <= person.flag_revision:
                return None
            casefile.sealed_flags[event.subject] = data.flags
            casefile.note(person)
            return casefile.book.flag(person, data.revision, opened)
        if person.registration and data.revision <= person.registration.revision:
            return None
        casefile.causes[event.subject] = event.cause
        casefile.note(person)
        return casefile.book.register(person, self._registration(data, opened))

    def _registration(self, data: RecipientRegistered, facts: Facts | None) -> Registration:
        return Registration(
            data.revision,
            data.registered_at,
            data.family_id,
            data.village,
            data.decile,
            data.eligibility,
            data.payment,
            data.contact,
            facts,
        )
