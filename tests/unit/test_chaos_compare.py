"""Two final states are compared to the last recipient, but for what depends on the order of arrival anyway."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from salur.chaos.compare import compare, last_deciles, people_of_families
from salur.chaos.state import Decision, FinalState, Message, Payout, Person, Submission

CYCLE, RANKED = "sembako-2026-11", "bantuan-polman-2026-11"
ALONE = "r-alone"
COUPLE = ("r-wife", "r-husband")
TWICE = "r-twice"


def person(state: FinalState, recipient: str, family: str, submissions: int = 1) -> None:
    for number in range(submissions):
        answer = "registered" if number == 0 else "unchanged"
        submission = Submission(recipient, "registration", answer, "new", ())
        state.submissions["polman", f"{recipient}-{number}"] = submission
    state.people[recipient] = Person(b"content", family, "7604011001", 3, ("polman", f"{recipient}-0"))
    state.decisions[recipient, "sembako"] = Decision(True, 200_000, "eligible")
    state.told[recipient, "sembako", 1] = (True, 200_000)
    state.messages[recipient, "decision:cause"] = Message("delivered", None)
    paid(state, recipient, CYCLE, ranked=False, decile=3)


def paid(state: FinalState, recipient: str, cycle: str, *, ranked: bool, decile: int, how: str = "confirmed") -> None:
    reference = f"{cycle}/{recipient}"
    state.payouts[recipient, cycle] = Payout(ranked, decile, how, 1, 200_000, None, reference)
    state.references[reference] = (recipient, cycle)
    if how == "confirmed":
        state.transfers[recipient, cycle, 1, "post"] = ("in_transit", "paid", 200_000)
        state.bank[reference] = 200_000
        state.messages[recipient, f"payout:{cycle}:1:confirmed"] = Message("read", None)
        state.balances[cycle, "paid"] = state.balances.get((cycle, "paid"), 0) + 200_000


@pytest.fixture
def ended() -> FinalState:
    state = FinalState(flags={(ALONE, "deceased"): (False, "2026-01-01", "polman", "f-1")})
    person(state, ALONE, "f-alone")
    person(state, COUPLE[0], "f-couple")
    person(state, COUPLE[1], "f-couple")
    state.decisions[COUPLE[1], "sembako"] = Decision(False, 0, "payee_other")
    person(state, TWICE, "f-twice", submissions=2)
    state.submissions["polman", "bad"] = Submission(None, "registration", "rejected", None, ("nik:nik_format",))
    return state


def unlike(state: FinalState, change: Callable[[FinalState], Any]) -> list[str]:
    """What differs after the change."""
    other = deepcopy(state)
    change(other)
    found = compare(state, other).differences
    assert sorted(d.what for d in compare(other, state).differences) == sorted(d.what for d in found)
    return sorted(difference.what for difference in found)


def test_equal_runs_are_equal_and_everything_was_looked_at(ended: FinalState) -> None:
    comparison = compare(ended, deepcopy(ended))
    assert comparison.differences == []
    assert comparison.by_family == 3
    assert all(comparison.compared.values())
    assert set(comparison.compared) == {
        *("submission", "registered", "flag", "decision", "payout", "ledger"),
        *("bank's books", "message", "told", "entitled"),
    }


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda s: s.submissions.pop(("polman", "bad")), ["submission"]),
        (lambda s: s.submissions.update({("polman", "more"): s.submissions["polman", "bad"]}), ["submission"]),
        (lambda s: s.people.update({ALONE: s.people[ALONE]._replace(content=b"other")}), ["registered"]),
        (lambda s: s.people.update({TWICE: s.people[TWICE]._replace(content=b"other")}), ["registered"]),
        (lambda s: s.flags.clear(), ["flag"]),
        (lambda s: s.decisions.update({(ALONE, "sembako"): Decision(False, 0, "decile")}), ["decision"]),
        (lambda s: s.payouts.update({(ALONE, CYCLE): s.payouts[ALONE, CYCLE]._replace(attempt=2)}), ["payout"]),
        (lambda s: s.payouts.update({(ALONE, CYCLE): s.payouts[ALONE, CYCLE]._replace(state="failed")}), ["payout"]),
        (lambda s: s.transfers.pop((ALONE, CYCLE, 1, "post")), ["ledger"]),
        (lambda s: s.bank.pop(f"{CYCLE}/{ALONE}"), ["bank's books"]),
        (lambda s: s.bank.update({"nobody's": 1}), ["bank's books"]),
        (lambda s: s.bank.update({f"{CYCLE}/{ALONE}": 400_000}), ["bank's books"]),
        (lambda s: s.messages.pop((ALONE, f"payout:{CYCLE}:1:confirmed")), ["message"]),
        (lambda s: s.told.pop((ALONE, "sembako", 1)), ["told"]),
    ],
)
def test_each_difference_of_one_recipient_is_found(
    ended: FinalState, change: Callable[[FinalState], Any], what: list[str]
) -> None:
    assert unlike(ended, change) == what


def test_a_message_of_unknown_fate_is_like_any_other_but_not_like_none(ended: FinalState) -> None:
    key = (ALONE, f"payout:{CYCLE}:1:confirmed")
    assert unlike(ended, lambda s: s.messages.update({key: Message("unknown", "sender_died")})) == []
    assert unlike(ended, lambda s: s.messages.update({key: Message("failed", "not_on_whatsapp")})) == ["message"]


def test_what_a_lost_message_said_about_decisions_is_not_compared(ended: FinalState) -> None:
    def lose(state: FinalState) -> None:
        state.messages[ALONE, "decision:cause"] = Message("unknown", "sender_died")
        state.told.clear()

    assert unlike(ended, lose) == []


def test_of_a_couple_the_other_one_may_be_paid_but_somebody_must_be(ended: FinalState) -> None:
    wife, husband = ((recipient, "sembako") for recipient in COUPLE)

    def swap(state: FinalState) -> None:
        state.decisions[wife], state.decisions[husband] = state.decisions[husband], state.decisions[wife]
        state.payouts[COUPLE[1], CYCLE] = state.payouts.pop((COUPLE[0], CYCLE))

    assert unlike(ended, swap) == []
    assert unlike(ended, lambda s: s.decisions.update({wife: s.decisions[husband]})) == ["entitled"]
    assert unlike(ended, lambda s: s.decisions.update({husband: s.decisions[wife]})) == ["entitled"]


def test_who_registers_twice_may_be_answered_in_either_order(ended: FinalState) -> None:
    def swap(state: FinalState) -> None:
        one, other = (("polman", f"{TWICE}-{number}") for number in range(2))
        state.submissions[one], state.submissions[other] = state.submissions[other], state.submissions[one]

    assert unlike(ended, swap) == []
    first = ("polman", f"{TWICE}-0")
    rejected = ended.submissions[first]._replace(answer="rejected")
    assert "submission" in unlike(ended, lambda s: s.submissions.update({first: rejected}))


def test_within_the_last_decile_of_a_budget_the_money_is_compared_and_not_the_people() -> None:
    def ranked(*states: tuple[int, str]) -> FinalState:
        state = FinalState()
        for number, (decile, how) in enumerate(states):
            paid(state, f"r-{number}", RANKED, ranked=True, decile=decile, how=how)
        return state

    one = ranked((1, "confirmed"), (2, "confirmed"), (2, "queued"), (3, "queued"))
    other = ranked((1, "confirmed"), (2, "queued"), (2, "confirmed"), (3, "queued"))
    assert last_deciles(one, other) == {RANKED: (2, 2)}
    assert compare(one, other).differences == []
    overtaken = ranked((1, "queued"), (2, "confirmed"), (2, "confirmed"), (3, "queued"))
    assert last_deciles(one, overtaken) == {RANKED: (1, 2)}
    assert [d.what for d in compare(one, overtaken).differences] == ["overtaken in"]
    without_account = ranked((1, "confirmed"), (2, "confirmed"), (2, "queued"), (3, "failed"))
    of_nobody = without_account.payouts["r-3", RANKED]
    without_account.payouts["r-3", RANKED] = of_nobody._replace(code="account_closed")
    assert {d.what for d in compare(without_account, without_account).differences} == {"overtaken in"}
    without_account.payouts["r-3", RANKED] = of_nobody._replace(code="no_account")
    assert compare(without_account, without_account).differences == []
    less = ranked((1, "confirmed"), (2, "queued"), (2, "queued"), (3, "queued"))
    assert [d.what for d in compare(one, less).differences] == ["paid in the ranked cycle"]
    assert last_deciles(ranked((1, "confirmed"))) == {}


def test_families_of_several_are_found_in_either_run(ended: FinalState) -> None:
    assert people_of_families(ended) == {*COUPLE, TWICE}
    assert people_of_families(FinalState(), ended) == {*COUPLE, TWICE}
