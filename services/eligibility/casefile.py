"""From rows to a book of people and back: what stage and sweep have in common."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo

import asyncpg

from services.eligibility import store
from services.eligibility.answer import Answers
from services.eligibility.domain.book import Book, Decision, Person, Registration, Standing
from services.eligibility.opening import Opener
from services.eligibility.rulebook import Rulebook
from services.eligibility.store import CurrentDecision, Recipient, Registered
from shared.events.eligibility import EligibilityDecided
from shared.events.envelope import Cause, Event
from shared.privacy.keyring import Keyring


@dataclass(frozen=True, slots=True)
class Office:
    """What decides: the rules with their number, the keys, and the clock's place (ages change at local midnight)."""

    rulebook: Rulebook
    rulebook_id: int
    keyring: Keyring
    zone: tzinfo

    @property
    def opener(self) -> Opener:
        return Opener(self.keyring)


@dataclass(slots=True)
class Casefile:
    """One transaction's people, all locked through their families, and what was decided about them."""

    office: Office
    at: datetime
    book: Book
    sealed_flags: dict[str, str] = field(default_factory=dict)
    causes: dict[str, Cause] = field(default_factory=dict)
    """Of registrations, by recipient."""
    _rows: dict[str, Recipient] = field(default_factory=dict)
    _changed: set[str] = field(default_factory=set)
    _decisions: dict[tuple[str, str], Decision] = field(default_factory=dict)
    _standings_before: Collection[tuple[str, str]] = ()
    _payees_before: dict[tuple[str, str], str] = field(default_factory=dict)

    @classmethod
    async def open(
        cls, office: Office, at: datetime, tx: asyncpg.Connection, rows: Sequence[Recipient], joining: Iterable[str]
    ) -> "Casefile":
        """`rows`: locked recipients. `joining`: families that people of this turn move to."""
        casefile = cls(office, at, Book(office.rulebook.rules, at.astimezone(office.zone).date()))
        families = sorted({row.registered.family_id for row in rows if row.registered} | set(joining))
        known = await store.lock_families(tx, families) if families else []
        if known:
            others = await store.others_on_card(tx, known, [row.recipient_id for row in rows])
            casefile.book.payees = await store.payees(tx, known)
            rows = [*rows, *others]
        if rows:
            ids = [row.recipient_id for row in rows if row.registered]
            for decision in await store.current_decisions(tx, ids):
                casefile.book.standings[decision.recipient_id, decision.programme] = Standing(*decision[2:])
        casefile.book.add(casefile._person(row) for row in rows)
        casefile._payees_before = dict(casefile.book.payees)
        casefile._standings_before = frozenset(casefile.book.standings)
        return casefile

    def note(self, person: Person) -> None:
        """Registration or flags of this person are new, and to be written."""
        self._changed.add(person.recipient_id)

    def answer(self, decisions: Sequence[Decision], cause: Cause, *, by_rules: bool) -> list[Event[EligibilityDecided]]:
        """The events of these decisions, which become the current ones."""
        for decision in decisions:
            self._decisions[decision.person.recipient_id, decision.rule.name] = decision
        answers = Answers(self.office.keyring, cause, self.at)
        return [answers.event(decision, by_rules=by_rules) for decision in decisions]

    async def close(self, tx: asyncpg.Connection) -> None:
        """Writes everything, set by set, rows sorted by their keys."""
        written = [self._row(self.book.people[recipient_id]) for recipient_id in sorted(self._changed)]
        await store.add_recipients(tx, [row for row in written if row.recipient_id not in self._rows])
        await store.change_recipients(tx, [row for row in written if row.recipient_id in self._rows])
        decided = sorted(self._decisions.items())
        await store.put_decisions(
            tx,
            [self._current(decision) for key, decision in decided if key not in self._standings_before],
            [self._current(decision) for key, decision in decided if key in self._standings_before],
        )
        await store.put_payees(tx, self._payees_before, self.book.payees)

    def _person(self, row: Recipient) -> Person:
        self._rows[row.recipient_id] = row
        if row.flags is not None:
            self.sealed_flags[row.recipient_id] = row.flags
        opener = self.office.opener
        person = Person(
            row.recipient_id,
            flag_revision=row.flag_revision,
            flags=opener.stored_flags(row.recipient_id, row.flags),
        )
        if known := row.registered:
            self.causes[row.recipient_id] = Cause(known.cause_id, known.correlation_id, known.traceparent)
            facts = opener.stored_facts(row.recipient_id, known.eligibility)
            person.registration = Registration(*known[:8], facts)
        return person

    def _row(self, person: Person) -> Recipient:
        flags = self.sealed_flags.get(person.recipient_id)
        registered = None
        if known := person.registration:
            registered = Registered(
                known.revision,
                known.registered_at,
                known.family_id,
                known.village,
                known.decile,
                known.eligibility,
                known.payment,
                known.contact,
                *self.causes[person.recipient_id],
                self.office.rulebook_id,
            )
        return Recipient(person.recipient_id, person.flag_revision, flags, registered)

    def _current(self, decision: Decision) -> CurrentDecision:
        person, registration, rule, revision, verdict = decision
        return CurrentDecision(
            person.recipient_id,
            rule.name,
            revision,
            rule.version,
            "eligible" if verdict.eligible else "ineligible",
            verdict.amount_idr,
            " ".join(verdict.codes),
            registration.revision,
            person.flag_revision,
            self.at,
        )
