"""Who of a family card is paid, and what a book of people holds after any sequence of events."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.eligibility.domain.book import Book, Decision
from services.eligibility.domain.facts import Facts
from services.eligibility.domain.payee import Candidate, choose
from services.eligibility.domain.programme import Payee
from tests.unit.eligibility_people import DAY, RULES, changed, facts, family, recipient, registration, rules

PAYEES = {name: rule.programme.model_dump()["payee"] for name, rule in RULES.items()}
SPOUSE_FIRST, MOTHER_FIRST, HEAD_FIRST = (Payee(**PAYEES[name]) for name in ("sembako", "pkh", "bantuan-polman"))
A, B, C = recipient(1), recipient(2), recipient(3)
CARD, OTHER_CARD = family(1), family(2)


@pytest.mark.parametrize(
    ("order", "family_members", "payee"),
    [
        (SPOUSE_FIRST, [facts("head", "L", 50), facts("spouse", "P", 45)], 1),
        (SPOUSE_FIRST, [facts("other", "P", 80), facts("head", "L", 50)], 1),
        (SPOUSE_FIRST, [facts("other", "P", 20), facts("other", "P", 80)], 1),  # the older
        (SPOUSE_FIRST, [facts("other", "P", 30), facts("other", "P", 30)], 0),  # the lower id
        (SPOUSE_FIRST, [facts("head", "P", 50), facts("spouse", "L", 45)], 1),
        (MOTHER_FIRST, [facts("head", "P", 50), facts("spouse", "L", 45)], 0),
        (MOTHER_FIRST, [facts("spouse", "P", 45), facts("head", "L", 50)], 0),
        (MOTHER_FIRST, [facts("other", "P", 60), facts("head", "L", 50)], 1),  # a grandmother is not the mother
        (HEAD_FIRST, [facts("spouse", "P", 45), facts("head", "L", 50)], 1),
    ],
)
def test_the_payee_is_the_first_in_the_stated_order(order: Payee, family_members: list[Facts], payee: int) -> None:
    candidates = [Candidate(recipient(n), known) for n, known in enumerate(family_members)]
    assert choose(order, candidates, None) == recipient(payee)
    assert choose(order, candidates[::-1], None) == recipient(payee)


def test_a_better_candidate_displaces_the_sitting_payee_only_where_the_programme_says_so() -> None:
    candidates = [Candidate(A, facts("head")), Candidate(B, facts("spouse", "P"))]
    assert choose(Payee(order=("spouse", "head", "other")), candidates, A) == A
    assert choose(Payee(order=("spouse", "head", "other"), sitting="yields"), candidates, A) == B
    assert choose(Payee(order=("spouse", "head", "other")), candidates, C) == B  # who left does not sit


@dataclass
class Village:
    """A book, and the events that were sent to it."""

    book: Book = field(default_factory=lambda: Book(tuple(RULES.values()), DAY))
    made: list[Decision] = field(default_factory=list)
    _revision: int = 0

    def registers(self, who: str, card: str, known: Facts | None = None, **more: Any) -> list[Decision]:
        self._revision += 1
        made = self.book.register(self.book.person(who), registration(self._revision, card, known or facts(), **more))
        assert made is not None
        self.made += made
        return made

    def is_flagged(self, who: str, *flags: str, erased: bool = False) -> list[Decision]:
        self._revision += 1
        made = self.book.flag(self.book.person(who), self._revision, None if erased else frozenset(flags))
        assert made is not None
        self.made += made
        return made

    def payee(self, card: str = CARD, programme: str = "sembako") -> str | None:
        return self.book.payees.get((card, programme))


def outcomes(decisions: list[Decision], programme: str = "sembako") -> list[tuple[str, tuple[str, ...]]]:
    return [(d.person.recipient_id, d.verdict.codes) for d in decisions if d.rule.name == programme]


def test_who_registers_first_is_paid_and_who_comes_later_on_the_same_card_is_told_so() -> None:
    village = Village()
    assert outcomes(village.registers(A, CARD, facts("head"))) == [(A, ("meets_conditions",))]
    assert outcomes(village.registers(B, CARD, facts("spouse", "P"))) == [(B, ("not_the_payee",))]
    assert village.payee() == A


@pytest.mark.parametrize("leaving", ["flagged", "moved", "richer", "erased"])
def test_when_the_payee_leaves_the_next_is_decided_in_the_same_step(leaving: str) -> None:
    village = Village()
    village.registers(A, CARD, facts("head"))
    village.registers(C, CARD, facts("other", "P", 70))
    village.registers(B, CARD, facts("spouse", "P"))
    if leaving == "flagged":
        made, why = village.is_flagged(A, "deceased"), "excluded_by_other_agency"
    elif leaving == "erased":
        made, why = village.is_flagged(A, erased=True), "facts_erased"
    elif leaving == "moved":
        made, why = village.registers(A, OTHER_CARD, facts("head")), "meets_conditions"
    else:
        made, why = village.registers(A, CARD, facts("head"), decile=9), "decile_above_limit"
    assert sorted(outcomes(made)) == [(A, (why,)), (B, ("meets_conditions",))]
    assert village.payee() == B
    assert village.payee(OTHER_CARD) == (A if leaving == "moved" else None)


def test_a_payee_who_is_no_longer_excluded_does_not_take_the_place_back() -> None:
    village = Village()
    village.registers(A, CARD, facts("spouse", "P"))
    village.registers(B, CARD, facts("head"))
    village.is_flagged(A, "car_owner")
    assert outcomes(village.is_flagged(A)) == [(A, ("not_the_payee",))]
    assert village.payee() == B


def test_an_older_or_repeated_revision_changes_nothing() -> None:
    village = Village()
    village.registers(A, CARD)
    person = village.book.person(A)
    known = person.registration
    assert known
    assert village.book.register(person, registration(known.revision, OTHER_CARD, facts(), decile=9)) is None
    village.is_flagged(A, "deceased")
    assert village.book.flag(person, person.flag_revision, frozenset()) is None
    assert person.registration is known
    assert person.flags == frozenset({"deceased"})


def test_flags_that_come_before_the_registration_count_once_it_comes() -> None:
    village = Village()
    assert village.is_flagged(A, "civil_servant") == []
    made = village.registers(A, CARD)
    assert {d.verdict.codes[0] for d in made} == {"excluded_by_other_agency"}


def test_new_rules_decide_only_what_they_change_and_pass_the_place_on() -> None:
    village = Village()
    village.registers(A, CARD, facts("head"), decile=5)
    village.registers(B, CARD, facts("spouse", "P"), decile=2)
    stricter = rules(changed("sembako", version=2, conditions={"decile_max": 4}), RULES["pkh"].programme)
    village.book.rules = stricter.rules
    person = village.book.person(A)
    assert [rule.name for rule in village.book.outdated(person)] == ["sembako"]
    made = village.book.decide(person, village.book.outdated(person))
    assert outcomes(made) == [(A, ("decile_above_limit",)), (B, ("meets_conditions",))]
    assert [(d.revision, d.rule.version) for d in made] == [(2, 2), (2, 2)]
    assert village.book.outdated(person) == village.book.outdated(village.book.person(B)) == []


people = st.sampled_from([recipient(n) for n in range(5)])
cards = st.sampled_from([family(n) for n in range(2)])
children = st.sampled_from([[], [{"birth_date": "2024-01-01", "sex": "L"}], [{"birth_date": "1950-01-01", "sex": "P"}]])
known_facts = st.one_of(
    st.none(),
    st.builds(
        lambda role, sex, age, members: facts(role, sex, age, members=members),
        st.sampled_from(["head", "spouse", "other"]),
        st.sampled_from(["L", "P"]),
        st.integers(17, 90),
        children,
    ),
)
registrations = st.tuples(st.just("register"), people, st.integers(1, 6), cards, st.integers(1, 7), known_facts)
flaggings = st.tuples(
    st.just("flag"), people, st.integers(1, 6), st.none() | st.sets(st.sampled_from(["deceased", "car_owner"]))
)
sweeps = st.tuples(st.just("sweep"), people)


def _apply(book: Book, event: tuple[Any, ...]) -> list[Decision] | None:
    kind, who, *rest = event
    person = book.person(who)
    if kind == "register":
        revision, card, decile, known = rest
        return book.register(person, registration(revision, card, known, decile=decile))
    if kind == "flag":
        revision, flags = rest
        return book.flag(person, revision, None if flags is None else frozenset(flags))
    return book.decide(person, book.rules) if person.registration else None


@settings(max_examples=150)
@given(st.lists(registrations | flaggings | sweeps, max_size=25), st.sampled_from(["stays", "yields"]))
def test_after_any_sequence_of_events_each_family_has_exactly_one_payee_where_anybody_is_entitled(
    events: list[tuple[Any, ...]], sitting: str
) -> None:
    programmes = [changed(name, payee={**PAYEES[name], "sitting": sitting}) for name in RULES]
    book = Book(rules(*programmes).rules, DAY)
    current: dict[tuple[str, str], Decision] = {}
    for event in events:
        made = _apply(book, event) or []
        assert len({(d.person.recipient_id, d.rule.name) for d in made}) == len(made), "one decision each a cause"
        for decision in made:
            key = (decision.person.recipient_id, decision.rule.name)
            assert decision.revision == (current[key].revision + 1 if key in current else 1)
            assert decision.verdict.eligible == (decision.verdict.amount_idr > 0)
            current[key] = decision
    registered = {who: person for who, person in book.people.items() if person.registration}
    assert set(current) == {(who, rule.name) for who in registered for rule in book.rules}
    for rule in book.rules:
        for card in {person.registration.family_id for person in registered.values() if person.registration}:
            members = [who for who, p in registered.items() if p.registration and p.registration.family_id == card]
            entitled = [who for who in members if book._entitlement(book.people[who], rule).eligible]
            paid = [who for who in members if current[who, rule.name].verdict.eligible]
            assert len(paid) == (1 if entitled else 0)
            assert set(paid) <= set(entitled)
            assert book.payees.get((card, rule.name)) == (paid[0] if paid else None)


@settings(max_examples=60)
@given(st.lists(registrations | flaggings, max_size=20), st.integers(0, 20))
def test_how_events_are_cut_into_batches_does_not_matter(events: list[tuple[Any, ...]], cut: int) -> None:
    """What a batch writes and the next one reads back decides as one batch would."""
    whole, first = Book(tuple(RULES.values()), DAY), Book(tuple(RULES.values()), DAY)
    expected = [_apply(whole, event) for event in events]
    got = [_apply(first, event) for event in events[:cut]]
    second = Book(first.rules, DAY, standings=dict(first.standings), payees=dict(first.payees))
    second.add(first.people.values())
    got += [_apply(second, event) for event in events[cut:]]
    assert [[(d.person.recipient_id, d.rule.name, d.revision, d.verdict) for d in made or []] for made in got] == [
        [(d.person.recipient_id, d.rule.name, d.revision, d.verdict) for d in made or []] for made in expected
    ]
