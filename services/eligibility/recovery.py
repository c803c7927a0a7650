"""Eligibility's part of a recovery: what was decided stays decided, and nobody is decided twice on the same facts.

Decisions are told in full. What they rest on is read again, up to the revisions that decisions name; what is newer is
left for the stage. Where only a part of what was decided together was told, the rest is decided and told now.
"""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import Any, Final

import asyncpg

from services.eligibility import recovery_store, rulebook, store
from services.eligibility.casefile import Casefile, Office
from services.eligibility.domain.book import Decision
from services.eligibility.recovery_store import FoundRegistration
from services.eligibility.rulebook import Rulebook
from services.eligibility.service import INPUTS
from services.eligibility.settings import EligibilitySettings
from services.eligibility.store import CurrentDecision
from shared.events.eligibility import EligibilityDecided
from shared.events.envelope import Event
from shared.events.registrations import RecipientFlagged, RecipientRegistered, RecipientResealed
from shared.events.topics import Service
from shared.privacy.keyring import Keyring
from shared.runtime.recovery import CannotRecover
from shared.runtime.resealed import flags_in, values_in
from shared.runtime.stage import Received

PEOPLE_AT_ONCE: Final = 500
KEYS: Final = ("eligibility", "particulars")


def build(settings: EligibilitySettings, keyring: Keyring) -> "EligibilityRecovery":
    """With the rules and the keys that eligibility itself has. Raises RulesInvalid."""
    return EligibilityRecovery(rulebook.load(settings.programmes), keyring, settings.zone)


@dataclass(slots=True)
class EligibilityRecovery:
    """An Importer."""

    rules: Rulebook
    keyring: Keyring
    zone: tzinfo
    service: Service = "eligibility"
    inputs: tuple[str, ...] = INPUTS
    until: datetime | None = None
    _summed_up: bool = False
    _summary: Counter[str] = field(default_factory=Counter)

    async def prepare(self, tx: asyncpg.Connection) -> None:
        await recovery_store.prepare(tx)

    async def told(self, tx: asyncpg.Connection, events: Sequence[Event[Any]]) -> None:
        await recovery_store.keep_told(tx, [_decision(event) for event in events])

    async def read_again(self, tx: asyncpg.Connection, received: Sequence[Received]) -> None:
        await self._sum_up(tx)
        rest_on = await recovery_store.rest_on(tx, sorted({event.subject for _, event in received}))
        registrations: list[FoundRegistration] = []
        flags: list[tuple[str, int, str]] = []
        for _, event in received:
            registration_revision, flag_revision = rest_on.get(event.subject, (0, 0))
            data = event.data
            if isinstance(data, RecipientResealed):
                continue
            if isinstance(data, RecipientFlagged):
                if data.revision <= flag_revision:
                    flags.append((event.subject, data.revision, data.flags.value))
            elif data.revision <= registration_revision:
                registrations.append(_registration(event))
        await recovery_store.keep_found(tx, registrations, flags)
        await recovery_store.keep_resealed(tx, values_in(received), flags_in(received))

    async def finish(self, tx: asyncpg.Connection, at: datetime) -> AsyncIterator[Sequence[Event[Any]]]:
        await self._sum_up(tx)
        await self._refuse_older_rules(tx)
        office = Office(self.rules, await store.take_rulebook(tx, self.rules), self.keyring, self.zone)
        self._summary["recipients"] = await recovery_store.import_recipients(tx, office.rulebook_id)
        await recovery_store.import_resealed(tx)
        if missing := await recovery_store.not_found(tx):
            raise CannotRecover(
                f"recipients were decided on registrations or flags that recipient.registered and recipient.flagged do "
                f"not hold since the backup, such as {missing[0]}",
                hint="`salur audit verify registry` says whether these topics are whole",
            )
        self._summary["decisions"] = await recovery_store.import_decisions(tx)
        shared = [rule.name for rule in self.rules.rules if rule.payee]
        await recovery_store.import_payees(tx, shared)
        half_told = await recovery_store.half_told(tx, [rule.name for rule in self.rules.rules])
        people = sorted(half_told)
        for start in range(0, len(people), PEOPLE_AT_ONCE):
            some = people[start : start + PEOPLE_AT_ONCE]
            yield await self._decide(tx, office, at, {who: half_told[who] for who in some})
        families = await recovery_store.unsettled_families(tx, shared)
        if families:
            yield await self._settle(tx, office, at, families)

    def summary(self) -> dict[str, int]:
        return dict(self._summary)

    async def _sum_up(self, tx: asyncpg.Connection) -> None:
        if not self._summed_up:
            await recovery_store.sum_up(tx)
            self._summed_up = True

    async def _refuse_older_rules(self, tx: asyncpg.Connection) -> None:
        """The database was restored, so only what was told says which rules were in force."""
        now = {rule.name: rule.version for rule in self.rules.rules}
        for programme, version in await recovery_store.versions_told(tx):
            if now.get(programme, 0) < version:
                raise CannotRecover(
                    f"{programme} was decided under version {version}, and the programmes at hand have "
                    + (f"version {now[programme]}" if programme in now else "no such programme"),
                    hint="give eligibility the programmes that it had (SALUR_PROGRAMMES)",
                )

    async def _decide(
        self, tx: asyncpg.Connection, office: Office, at: datetime, wanted: dict[str, list[str]]
    ) -> list[Event[EligibilityDecided]]:
        """The decisions of these recipients in these programmes, and of whoever's place turns with them."""
        casefile = await Casefile.open(office, at, tx, await store.lock_recipients(tx, sorted(wanted)), ())
        decisions: list[Decision] = []
        for recipient_id, programmes in wanted.items():
            rules = [rule for rule in self.rules.rules if rule.name in programmes]
            decisions += casefile.book.decide(casefile.book.people[recipient_id], rules)
        return await self._told(tx, casefile, decisions)

    async def _settle(
        self, tx: asyncpg.Connection, office: Office, at: datetime, families: dict[str, list[str]]
    ) -> list[Event[EligibilityDecided]]:
        people = sorted({who for members in families.values() for who in members})
        casefile = await Casefile.open(office, at, tx, await store.lock_recipients(tx, people), ())
        decisions = [decision for family_id in families for decision in casefile.book.settle(family_id)]
        return await self._told(tx, casefile, decisions)

    async def _told(
        self, tx: asyncpg.Connection, casefile: Casefile, decisions: Sequence[Decision]
    ) -> list[Event[EligibilityDecided]]:
        """One by one, each caused by its own person's registration; `by_rules` gives them ids that nobody has."""
        events: list[Event[EligibilityDecided]] = []
        for decision in decisions:
            events += casefile.answer([decision], casefile.causes[decision.person.recipient_id], by_rules=True)
        await casefile.close(tx)
        self._summary["lost_events_told_again"] += len(events)
        return events


def _decision(event: Event[EligibilityDecided]) -> CurrentDecision:
    data = event.data
    return CurrentDecision(
        event.subject,
        data.programme,
        data.revision,
        data.programme_version,
        data.outcome,
        data.amount_idr,
        " ".join(reason.code for reason in data.reasons),
        data.registration_revision,
        data.flag_revision,
        event.time,
    )


def _registration(event: Event[RecipientRegistered]) -> FoundRegistration:
    data = event.data
    return FoundRegistration(
        event.subject,
        data.revision,
        data.registered_at,
        data.family_id,
        data.village,
        data.decile,
        data.eligibility.value,
        data.payment.value if data.payment else None,
        data.contact.value if data.contact else None,
        *event.cause,
    )
