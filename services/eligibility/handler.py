"""Registrations and flags in, decisions out."""

from dataclasses import dataclass

import asyncpg

from services.eligibility import store
from services.eligibility.casefile import Casefile, Office
from services.eligibility.domain.book import Decision, Registration
from services.eligibility.domain.facts import FactsInvalid
from shared.errors import CannotOpen, KeyMissing
from shared.events.eligibility import EligibilityDecided
from shared.events.envelope import Event
from shared.events.registrations import RecipientFlagged, RecipientRegistered
from shared.runtime.stage import Batch, KeyAway, Unusable


@dataclass(frozen=True, slots=True)
class Handler:
    """Every event that is newer than what is known leads to one decision a programme about its recipient, and to one
    for whoever's place on the family card turns with it. Older ones and repeats lead to nothing."""

    office: Office

    async def handle(self, batch: Batch, tx: asyncpg.Connection) -> list[Event[EligibilityDecided]]:
        """Raises Unusable with the events whose facts do not open, KeyAway with those whose key is not here, Meanwhile
        and KeyMissing (trouble)."""
        registrations = batch.of(RecipientRegistered)
        recipients = sorted({event.subject for _, event in batch})
        rows = await store.lock_recipients(tx, recipients)
        joining = {event.data.family_id for event in registrations}
        casefile = await Casefile.open(self.office, batch.at, tx, rows, joining)
        answers: list[Event[EligibilityDecided]] = []
        for _, event in batch:
            try:
                decisions = self._apply(casefile, event)
            except (CannotOpen, FactsInvalid) as error:
                raise self._unusable(batch, type(error).__name__) from None
            except KeyMissing as error:
                if error.key_id is None:
                    raise
                raise KeyAway([(e, key_id) for _, e in batch if (key_id := self._missing_key(e))]) from None
            if decisions:
                answers += casefile.answer(decisions, event.cause, by_rules=False)
        await casefile.close(tx)
        return answers

    def _apply(self, casefile: Casefile, event: Event[RecipientRegistered | RecipientFlagged]) -> list[Decision] | None:
        """What one event changes. None: nothing, it is older than what is known."""
        person, data = casefile.book.person(event.subject), event.data
        if isinstance(data, RecipientFlagged):
            if data.revision <= person.flag_revision:
                return None
            casefile.sealed_flags[event.subject] = data.flags
            casefile.note(person)
            return casefile.book.flag(person, data.revision, self.office.opener.flags(event.subject, data.flags))
        if person.registration and data.revision <= person.registration.revision:
            return None
        casefile.causes[event.subject] = event.cause
        casefile.note(person)
        return casefile.book.register(person, self._registration(event.subject, data))

    def _unusable(self, batch: Batch, error: str) -> Unusable:
        """All such events of the batch at once: where a key is wrong there is rarely one."""
        return Unusable(
            [event for _, event in batch if not self._opens(event)],
            f"{error}: what is sealed in it is damaged, or was sealed for another recipient or purpose",
        )

    def _opens(self, event: Event[RecipientRegistered | RecipientFlagged]) -> bool:
        try:
            self._open(event)
        except (CannotOpen, FactsInvalid):
            return False
        except KeyMissing:
            pass  # another fault, met when the batch is handed in again
        return True

    def _missing_key(self, event: Event[RecipientRegistered | RecipientFlagged]) -> str | None:
        try:
            self._open(event)
        except (CannotOpen, FactsInvalid):
            pass
        except KeyMissing as error:
            return error.key_id
        return None

    def _open(self, event: Event[RecipientRegistered | RecipientFlagged]) -> None:
        opener, data = self.office.opener, event.data
        if isinstance(data, RecipientFlagged):
            opener.flags(event.subject, data.flags)
        else:
            opener.facts(event.subject, data.eligibility)

    def _registration(self, recipient_id: str, data: RecipientRegistered) -> Registration:
        return Registration(
            data.revision,
            data.registered_at,
            data.family_id,
            data.village,
            data.decile,
            data.eligibility,
            data.payment,
            data.contact,
            self.office.opener.facts(recipient_id, data.eligibility),
        )
