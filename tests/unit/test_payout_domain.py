"""The rules of paying, by tables of examples and by random sequences."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise, product
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from services.payout import configuration
from services.payout.domain import ledger as books
from services.payout.domain.answers import Answer, Pauses, Said
from services.payout.domain.budget import Claimant, Rank, RankClass, allot, rank
from services.payout.domain.consideration import Decision, OpenCycle, Standing, consider
from services.payout.domain.doubt import Case, Held, Later
from services.payout.domain.doubt import resolve as resolve_doubt
from services.payout.domain.ledger import RULES, Account, Kind, Transfer, balances
from services.payout.domain.orders import Account as BankAccount
from services.payout.domain.periods import PeriodDoesNotFit, check_period, same_door, same_officer
from services.payout.domain.references import reference
from services.payout.domain.states import (
    AT_THE_BANK,
    CANCELLABLE,
    CYCLE,
    ENDED,
    MONEY,
    PAYOUT,
    CycleState,
    PayoutState,
    diagram,
    is_legal,
)
from services.payout.settings import PayoutSettings

AT = datetime(2026, 11, 24, 7, 0, tzinfo=UTC)
PAUSES = Pauses(window_s=20, first_inquiry_after_s=1, inquiry_pause_max_s=8, resend_after_s=2)
S = PayoutState

LEGAL_FROM = {
    "": {"queued", "ordered", "failed"},
    "queued": {"ordered", "failed", "cancelled"},
    "ordered": {"claimed", "cancelled"},
    "claimed": {"confirmed", "failed", "unknown", "unsent"},
    "unknown": {"confirmed", "failed", "unsent"},
    "unsent": {"claimed", "cancelled", "confirmed", "failed"},
    "confirmed": set(),
    "failed": {"ordered", "queued", "failed"},
    "cancelled": {"ordered", "queued", "failed"},
}


@pytest.mark.parametrize(("source", "target"), list(product(("", *PayoutState), PayoutState)))
def test_payouts_change_only_along_their_table(source: str, target: str) -> None:
    assert is_legal(PAYOUT, source, target) == (target in LEGAL_FROM[source])


@pytest.mark.parametrize(("source", "target"), list(product(("", *CycleState), CycleState)))
def test_cycles_change_only_along_their_table(source: str, target: str) -> None:
    steps = ["", "proposed", "open", "closing", "closed"]
    assert is_legal(CYCLE, source, target) == ((source, target) in set(pairwise(steps)))


def test_states_are_sorted_completely() -> None:
    assert set(MONEY) == set(PayoutState)
    assert {*AT_THE_BANK, *CANCELLABLE, *ENDED, S.CONFIRMED} == set(PayoutState)
    assert not any(is_legal(PAYOUT, state, S.CANCELLED) for state in AT_THE_BANK)


def test_the_diagrams_in_the_docs_are_generated() -> None:
    text = (Path(__file__).parents[2] / "docs/reference/payout.md").read_text(encoding="utf-8")
    for table in (CYCLE, PAYOUT):
        assert f"```text\n{diagram(table)}\n```" in text


# ---- the ledger ----

_PATHS = st.sampled_from(
    [
        (Kind.RESERVE,),
        (Kind.RESERVE, Kind.VOID),
        (Kind.RESERVE, Kind.SEND),
        (Kind.RESERVE, Kind.SEND, Kind.POST),
        (Kind.RESERVE, Kind.SEND, Kind.VOID),
    ]
)


@given(st.lists(st.tuples(_PATHS, st.integers(1, 10**9)), max_size=60), st.integers(0, 10**6))
def test_the_ledger_balances_whatever_happens(attempts: list[tuple[tuple[Kind, ...], int]], spare_idr: int) -> None:
    budget_idr = sum(amount for _, amount in attempts) + spare_idr
    transfers = [books.fund("c", budget_idr, AT)] if budget_idr else []
    ends: Counter[Kind] = Counter()
    for number, (path, amount_idr) in enumerate(attempts):
        transfers += [_step(kind, f"r{number}", amount_idr, sent=Kind.SEND in path) for kind in path]
        ends[path[-1]] += amount_idr
    for upto in range(len(transfers) + 1):
        after = balances(transfers[:upto])
        assert sum(after.values()) == 0
        assert all(balance >= 0 for account, balance in after.items() if account != Account.TREASURY)
    found = balances(transfers)
    assert found[Account.PAID] == ends[Kind.POST]
    assert found[Account.IN_TRANSIT] == ends[Kind.SEND]
    assert found[Account.RESERVED] == ends[Kind.RESERVE]
    assert found[Account.RETURNED] == ends[Kind.VOID]
    assert found[Account.BUDGET] == budget_idr - sum(ends.values())
    for transfer in transfers:
        assert (transfer.debit_account, transfer.credit_account) in RULES[transfer.kind]


def _step(kind: Kind, recipient: str, amount_idr: int, *, sent: bool) -> Transfer:
    match kind:
        case Kind.RESERVE:
            return books.reserve("c", recipient, 1, amount_idr, AT)
        case Kind.POST:
            return books.post("c", recipient, 1, amount_idr, AT)
        case Kind.VOID:
            return books.void("c", recipient, 1, amount_idr, Account.IN_TRANSIT if sent else Account.RESERVED, AT)
        case _:
            return Transfer("c", recipient, 1, kind, Account.RESERVED, Account.IN_TRANSIT, amount_idr, AT)


# ---- budget ----


@given(st.lists(st.integers(1, 100), max_size=40), st.integers(0, 2000))
def test_budget_goes_to_the_front_of_the_queue_and_never_beyond_itself(amounts: list[int], available: int) -> None:
    served = allot([Claimant(_rank(n), amount) for n, amount in enumerate(amounts)], available)
    assert sum(amounts[:served]) <= available
    if served < len(amounts):
        assert sum(amounts[: served + 1]) > available


def test_nobody_behind_the_barrier_is_served() -> None:
    claimants = [Claimant(_rank(n), 1) for n in (1, 2, 4)]
    assert allot(claimants, 10, _rank(3)) == 2
    assert allot(claimants, 10, _rank(0)) == 0


def test_ranks() -> None:
    before, after = AT - timedelta(days=1), AT + timedelta(days=1)
    assert rank("continuous", "r", 7, before, after, AT) == (RankClass.IN_TIME, 0, before, "r")
    assert rank("ranked", "r", 7, before, AT, AT) == (RankClass.IN_TIME, 7, before, "r")
    late = rank("ranked", "r", 1, before, after, AT)
    assert late > rank("ranked", "r", 9, AT, AT, AT), "who comes after the cut-off stands behind all others"


def _rank(minutes: int) -> Rank:
    return Rank(RankClass.IN_TIME, 0, AT + timedelta(minutes=minutes), "r")


# ---- what follows from a decision ----

OPEN = OpenCycle("sembako-2026-11", "continuous", AT)


def _decision(revision: int = 2, *, eligible: bool = True, account: bool = True, amount_idr: int = 5) -> Decision:
    return Decision("r", revision, eligible, amount_idr if eligible else 0, 1, AT, AT, account)


def _here(state: PayoutState, revision: int = 1, cycle: str = OPEN.cycle, rank_class: int = 1) -> Standing:
    return Standing(cycle, state, 3, revision, rank_class)


@pytest.mark.parametrize(
    ("decision", "standings", "cancels", "attempt", "failure", "rank_class"),
    [
        (_decision(), [], 0, 1, None, 1),
        (_decision(eligible=False), [], 0, None, None, None),
        (_decision(account=False), [], 0, 1, "no_account", None),
        (_decision(amount_idr=0), [], 0, 1, "nothing_to_pay", None),
        (_decision(), [_here(S.QUEUED)], 0, 3, None, 1),
        (_decision(), [_here(S.QUEUED, rank_class=0)], 0, 3, None, 0),
        (_decision(), [_here(S.QUEUED, 2)], 0, None, None, None),
        (_decision(eligible=False), [_here(S.QUEUED)], 1, None, None, None),
        (_decision(), [_here(S.ORDERED)], 1, 4, None, 0),
        (_decision(account=False), [_here(S.ORDERED)], 1, 4, "no_account", None),
        (_decision(), [_here(S.UNSENT)], 1, 4, None, 0),
        (_decision(eligible=False), [_here(S.UNSENT)], 1, None, None, None),
        (_decision(), [_here(S.CLAIMED)], 0, None, None, None),
        (_decision(eligible=False), [_here(S.UNKNOWN)], 0, None, None, None),
        (_decision(), [_here(S.CONFIRMED)], 0, None, None, None),
        (_decision(), [_here(S.FAILED)], 0, 4, None, 1),
        (_decision(), [_here(S.FAILED, 2)], 0, None, None, None),
        (_decision(), [_here(S.CANCELLED)], 0, 4, None, 1),
        (_decision(), [_here(S.ORDERED, 1, "sembako-2026-10")], 1, 1, None, 1),
        (_decision(), [_here(S.UNKNOWN, 1, "sembako-2026-10")], 0, 1, None, 1),
        (_decision(eligible=False), [_here(S.ORDERED, 1, "sembako-2026-10"), _here(S.ORDERED)], 2, None, None, None),
    ],
)
def test_what_follows_from_a_decision(
    decision: Decision,
    standings: list[Standing],
    cancels: int,
    attempt: int | None,
    failure: str | None,
    rank_class: int | None,
) -> None:
    found = consider(decision, standings, OPEN)
    assert (len(found.cancel), found.attempt, found.failure) == (cancels, attempt, failure)
    assert (found.rank and found.rank.rank_class) == rank_class
    assert all(standing.state in CANCELLABLE for standing in found.cancel)


# ---- references, periods, names, configuration ----


@given(st.integers(20, 64), st.integers(1, 99))
def test_references_follow_from_the_business(length: int, attempt: int) -> None:
    made = reference("sembako", "sembako-2026-11", "r-1", attempt, length)
    assert made == reference("sembako", "sembako-2026-11", "r-1", attempt, length)
    assert len(made) == length
    assert made.isalnum()
    assert made != reference("sembako", "sembako-2026-11", "r-1", attempt + 1, length)


def test_a_reference_is_the_same_in_every_version() -> None:
    assert reference("sembako", "sembako-2026-11", "r-" + "0" * 32, 1, 20) == "DC633F219DF387BA39C4"


def test_references_do_not_collide_and_do_not_run_together() -> None:
    made = {reference("p", f"c{c}", f"r-{r}", a, 20) for c in range(10) for r in range(500) for a in (1, 2)}
    assert len(made) == 10_000
    assert reference("a", "bc", "r", 1, 20) != reference("ab", "c", "r", 1, 20)


@pytest.mark.parametrize(
    ("kind", "period", "fits"),
    [
        ("month", "2026-11", True),
        ("month", "2026-13", False),
        ("month", "2026-00", False),
        ("month", "2026-Q4", False),
        ("quarter", "2026-Q4", True),
        ("quarter", "2026-Q5", False),
        ("quarter", "2026-11", False),
        ("month", "2026-11\n", False),
    ],
)
def test_periods_fit_their_programme(kind: str, period: str, fits: bool) -> None:
    if fits:
        check_period("p", kind, period)  # type: ignore[arg-type]
    else:
        with pytest.raises(PeriodDoesNotFit):
            check_period("p", kind, period)  # type: ignore[arg-type]


def test_an_officer_is_the_same_in_any_spelling() -> None:
    assert same_officer("Siti  Aminah", " siti aminah ")
    assert not same_officer("Siti Aminah", "Siti Amina")
    assert same_officer("Siti [a]", "Aminah [a]")
    assert not same_officer("Siti [a]", "Siti [b]")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [("Siti", "Ani", True), ("Siti [a]", "Ani [b]", True), ("Siti [a]", "Siti", False), ("Siti", "Siti [a]", False)],
)
def test_two_doors_may_be_one_person(one: str, other: str, same: bool) -> None:
    assert same_door(one, other) == same
    assert same or not same_officer(one, other)


def test_an_account_does_not_show_itself() -> None:
    assert "7604" not in repr(BankAccount("002", "7604", "Siti"))


def test_the_configuration_is_whole() -> None:
    known = configuration.load()
    assert {name: (p.mode, p.period) for name, p in known.programmes.items()} == {
        "sembako": ("continuous", "month"),
        "pkh": ("continuous", "quarter"),
        "bantuan-polman": ("ranked", "month"),
    }
    bank = known.banks["himbara"]
    assert bank.codes.meaning("2001800") == (Said.DONE, None)
    assert bank.codes.meaning("4091801") == (Said.USED, None)
    assert bank.codes.meaning("4031818") == (Said.FAILED, "account_closed")
    assert bank.codes.meaning("5041800") == bank.codes.meaning("never heard of") == (Said.UNCLEAR, None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("programmes: {x: {mode: fast, period: month, channel: himbara}}", "programmes.x.mode"),
        ("programmes: {x: {mode: ranked, period: month, channel: none}}", "has no none"),
        ("programmes: {x: {mode: ranked, period: month}}", "programmes.x.channel"),
        ("- 1", "no mapping"),
        ("{", "no YAML"),
    ],
)
def test_a_wrong_configuration_is_named(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "programmes.yaml"
    file.write_text(text)
    with pytest.raises(configuration.ConfigurationInvalid, match=said) as raised:
        configuration.load(programmes=file)
    assert str(file) in raised.value.message


@pytest.mark.parametrize(("after_s", "expected"), [(0.5, Later), (2.0, Later), (6.0, Held)])
def test_who_was_paid_untold_and_stays_in_the_queue_is_held(after_s: float, expected: type) -> None:
    """The money went to others meanwhile, and no order may ever follow: then a person must look."""
    since = datetime(2026, 11, 25, 4, tzinfo=UTC)
    at = since + timedelta(seconds=after_s)
    case = Case(1, 1, 100_000, PayoutState.QUEUED, attempt=1, amount_idr=100_000)
    answers = {1: Answer("REF", Said.DONE)}
    pauses = Pauses(window_s=1.5, first_inquiry_after_s=0.1, inquiry_pause_max_s=0.4, resend_after_s=0.1)
    assert type(resolve_doubt(case, answers, since=since, asked_at=at, now=at, pauses=pauses)) is expected


def test_of_several_banks_each_says_where_it_is(tmp_path: Path) -> None:
    banks = yaml.safe_load(configuration.BANKS.read_text())
    banks["banks"]["other"] = {
        **banks["banks"]["himbara"],
        "url_variable": "OTHER_URL",
        "token_variable": "OTHER_TOKEN",
    }
    (tmp_path / "banks.yaml").write_text(yaml.safe_dump(banks))
    with pytest.raises(configuration.ConfigurationInvalid, match=r"banks\.himbara: there are 2 banks"):
        configuration.load(banks=tmp_path / "banks.yaml")
    banks["banks"]["himbara"] |= {"url_variable": "SALUR_BANK_URL", "token_variable": "SALUR_BANK_TOKEN"}
    (tmp_path / "banks.yaml").write_text(yaml.safe_dump(banks))
    known = configuration.load(banks=tmp_path / "banks.yaml")
    environment = {"OTHER_URL": "http://other.example", "OTHER_TOKEN": "theirs"}
    settings = PayoutSettings(bank_url="http://himbara.example")
    assert settings.way_to("other", known.banks["other"], environment) == ("http://other.example", "theirs")
    with pytest.raises(configuration.ConfigurationInvalid, match="SALUR_BANK_URL is not set"):
        settings.way_to("himbara", known.banks["himbara"], environment)
    alone = known.banks["himbara"].model_copy(update={"url_variable": None, "token_variable": None})
    assert settings.way_to("himbara", alone, {})[0] == "http://himbara.example"
