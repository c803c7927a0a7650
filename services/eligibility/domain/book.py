"""Recipients, their families and their current decisions, as one turn knows them: what a change leads to.

Changes are applied one after another, each followed by its decisions, so that the outcome does not depend on how
events were cut into batches: the same events in the same order give the same decisions with the same revisions.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import NamedTuple

from services.eligibility.domain.facts import Facts, traits
from services.eligibility.domain.payee import Candidate, choose
from services.eligibility.domain.programme import Payee
from services.eligibility.domain.rules import NOT_THE_PAYEE, Asked, Rule, Verdict


@dataclass(slots=True)
class Registration:
    """What the registry's newest `recipient.registered` says. Sealed parts travel along unopened."""

    revision: int
    registered_at: datetime
    family_id: str
    village: str
    decile: int
    eligibility: str
    payment: str | None
    contact: str | None
    facts: Facts | None
    """The opened `eligibility`; None: erased."""


@dataclass(slots=True)
class Person:
    """One recipient. `registration` is None while only flags are known of them."""

    recipient_id: str
    registration: Registration | None = None
    flag_revision: int = 0
    flags: frozenset[str] | None = frozenset()
    """Codes that stand; None: erased."""


class Standing(NamedTuple):
    """A current decision."""

    revision: int
    version: int
    eligible: bool
    registration_revision: int
    flag_revision: int


class Decision(NamedTuple):
    """A new current decision; it supersedes the one with `revision` - 1."""

    person: Person
    registration: Registration
    rule: Rule
    revision: int
    verdict: Verdict


@dataclass(slots=True)
class Book:
    """`people` holds everybody on every family card that a change of this turn touches."""

    rules: Sequence[Rule]
    day: date
    people: dict[str, Person] = field(default_factory=dict)
    standings: dict[tuple[str, str], Standing] = field(default_factory=dict)
    """Current decisions by (recipient, programme)."""
    payees: dict[tuple[str, str], str] = field(default_factory=dict)
    """Who is paid, by (family, programme); nobody: no entry."""
    _families: dict[str, dict[str, Person]] = field(default_factory=lambda: defaultdict(dict))
    _asked: dict[str, Asked] = field(default_factory=dict)

    def add(self, people: Iterable[Person]) -> None:
        """People as they are before this turn's changes."""
        for person in people:
            self.people[person.recipient_id] = person
            if person.registration:
                self._families[person.registration.family_id][person.recipient_id] = person

    def person(self, recipient_id: str) -> Person:
        """Whoever is not known yet begins without registration and flags."""
        known = self.people.get(recipient_id)
        if known is None:
            known = self.people[recipient_id] = Person(recipient_id)
        return known

    def register(self, person: Person, registration: Registration) -> list[Decision] | None:
        """All programmes are decided anew. None: an older or known revision, which changes nothing."""
        before = person.registration
        if before and registration.revision <= before.revision:
            return None
        person.registration = registration
        self._asked.pop(person.recipient_id, None)
        left = None
        if before and before.family_id != registration.family_id:
            left = before.family_id
            del self._families[left][person.recipient_id]
        self._families[registration.family_id][person.recipient_id] = person
        return self.decide(person, self.rules, left=left)

    def flag(self, person: Person, revision: int, flags: frozenset[str] | None) -> list[Decision] | None:
        """All programmes are decided anew; none while the person is not registered. None: as in `register`."""
        if revision <= person.flag_revision:
            return None
        person.flag_revision, person.flags = revision, flags
        self._asked.pop(person.recipient_id, None)
        return self.decide(person, self.rules) if person.registration else []

    def outdated(self, person: Person) -> list[Rule]:
        """The programmes whose current decision follows from an older version, or that were never decided, or not since
        the person's last change: an instance with the earlier rules, which lack the programme, took it in."""
        assert person.registration, "only registered people are decided"
        known = (person.registration.revision, person.flag_revision)
        return [
            rule
            for rule in self.rules
            if (standing := self.standings.get((person.recipient_id, rule.name))) is None
            or standing.version < rule.version
            or (standing.registration_revision, standing.flag_revision) != known
        ]

    def decide(self, person: Person, rules: Iterable[Rule], *, left: str | None = None) -> list[Decision]:
        """A decision for this person in each of these programmes, and for everybody whose outcome turns with it.

        `left` is the family card that the person was on before.
        """
        assert person.registration, "only registered people are decided"
        made: list[Decision] = []
        for rule in rules:
            if rule.payee is None:
                made.append(self._stand(person, rule, self._entitlement(person, rule)))
                continue
            if left:
                made += self._settle(rule, left, None)
            made += self._settle(rule, person.registration.family_id, person)
        return made

    def settle(self, family_id: str) -> list[Decision]:
        """Who of the family is paid in each programme; a decision for everybody whose outcome is another one."""
        return [decision for rule in self.rules if rule.payee for decision in self._settle(rule, family_id, None)]

    def _settle(self, rule: Rule, family_id: str, subject: Person | None) -> list[Decision]:
        """Who of the family is paid now. The subject gets a decision, the others where their outcome changes."""
        assert rule.payee
        members = self._families[family_id]
        if subject and len(members) == 1:
            return [self._settle_alone(rule, family_id, subject)]
        verdicts = {recipient_id: self._entitlement(person, rule) for recipient_id, person in members.items()}
        payee = self._seat(rule, rule.payee, family_id, verdicts)
        made = []
        for recipient_id in sorted(members):
            person, verdict = members[recipient_id], verdicts[recipient_id]
            if verdict.eligible and recipient_id != payee:
                verdict = NOT_THE_PAYEE
            standing = self.standings.get((recipient_id, rule.name))
            if person is subject or standing is None or standing.eligible != verdict.eligible:
                made.append(self._stand(person, rule, verdict))
        return made

    def _settle_alone(self, rule: Rule, family_id: str, person: Person) -> Decision:
        """The same for the only one on a card, as nearly all are."""
        verdict = self._entitlement(person, rule)
        if verdict.eligible:
            self.payees[family_id, rule.name] = person.recipient_id
        else:
            self.payees.pop((family_id, rule.name), None)
        return self._stand(person, rule, verdict)

    def _seat(self, rule: Rule, order: Payee, family_id: str, verdicts: Mapping[str, Verdict]) -> str | None:
        """Writes down and returns who of the family is paid."""
        entitled = [recipient_id for recipient_id, verdict in verdicts.items() if verdict.eligible]
        key = (family_id, rule.name)
        if not entitled:
            self.payees.pop(key, None)
            return None
        if len(entitled) == 1:
            payee = entitled[0]
        else:
            payee = choose(order, [self._candidate(recipient_id) for recipient_id in entitled], self.payees.get(key))
        self.payees[key] = payee
        return payee

    def _candidate(self, recipient_id: str) -> Candidate:
        facts = self._asked[recipient_id].facts
        assert facts, "nobody is entitled without facts"
        return Candidate(recipient_id, facts)

    def _stand(self, person: Person, rule: Rule, verdict: Verdict) -> Decision:
        assert person.registration
        key = (person.recipient_id, rule.name)
        before = self.standings.get(key)
        revision = before.revision + 1 if before else 1
        self.standings[key] = Standing(
            revision, rule.version, verdict.eligible, person.registration.revision, person.flag_revision
        )
        return Decision(person, person.registration, rule, revision, verdict)

    def _entitlement(self, person: Person, rule: Rule) -> Verdict:
        asked = self._asked.get(person.recipient_id)
        if asked is None:
            known = person.registration
            assert known
            members = traits(known.facts, self.day) if known.facts else ()
            asked = Asked(known.village, known.decile, known.facts, person.flags, members)
            self._asked[person.recipient_id] = asked
        return rule.entitlement(asked)
