"""The simulated bank decides by seed, reference and account alone, at the rates it was given."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.bank.behaviour import (
    CLOSED,
    DORMANT,
    NO_SUCH_ACCOUNT,
    REFUSALS,
    Rates,
    Road,
    bank_reference,
    behaviour,
    call_cut,
)
from simulators.bank.orders import Order, Unusable, read_transfer

QUIET = Rates(refused=0, delayed=0, timeout=0, late=0, cut=0)
REFERENCES = [f"sembako:2026-11:r-{number:032x}:1" for number in range(20_000)]
TRANSFER = {
    "partnerReferenceNo": "sembako:2026-11:r-1:1",
    "amount": {"value": "200000.00", "currency": "IDR"},
    "beneficiaryBankCode": "002",
    "beneficiaryAccountNo": "001201000123456",
    "beneficiaryAccountName": "Siti Aminah",
}


@given(st.integers(), st.text(min_size=1, max_size=64), st.text(max_size=40))
def test_the_same_input_behaves_the_same(seed: int, reference: str, account: str) -> None:
    rates = Rates(refused=0.5, delayed=0.3, timeout=0.3, late=0.3)
    what = behaviour(seed, reference, account, rates)
    assert what == behaviour(seed, reference, account, rates)
    assert what.settle_after_s <= max(rates.late_s, rates.delay_s)
    assert (what.settle_after_s > 0) == (what.road in (Road.DELAYED, Road.LATE))


@given(st.integers(), st.text(min_size=1, max_size=64))
def test_without_rates_everything_is_paid_at_once(seed: int, reference: str) -> None:
    what = behaviour(seed, reference, "002123", QUIET)
    assert (what.road, what.refusal, what.answer) == (Road.NOW, None, "2001800")


def test_the_rates_are_kept() -> None:
    seen = [behaviour(7, reference, f"002{place:012d}", Rates()) for place, reference in enumerate(REFERENCES)]
    roads = Counter(what.road for what in seen)
    refusals = Counter(what.refusal for what in seen if what.refusal)
    total = len(REFERENCES)
    assert roads[Road.DELAYED] / total == pytest.approx(0.02, rel=0.2)
    assert roads[Road.TIMEOUT] / total == pytest.approx(0.01, rel=0.3)
    assert roads[Road.LATE] / total == pytest.approx(0.005, rel=0.4)
    assert refusals.total() / total == pytest.approx(0.02, rel=0.2)
    assert set(refusals) == set(REFUSALS)


def test_another_seed_is_another_world() -> None:
    accounts = [f"002{number:012d}" for number in range(2000)]
    worlds = [[behaviour(seed, "r", account, Rates(refused=0.5)).refusal for account in accounts] for seed in (1, 2)]
    assert worlds[0] != worlds[1]


def test_closed_and_unknown_belong_to_the_account_and_dormant_to_the_reference() -> None:
    rates = Rates(refused=0.6, delayed=0, timeout=0, late=0)
    for number in range(300):
        account = f"002{number:012d}"
        refusals = {behaviour(7, reference, account, rates).refusal for reference in REFERENCES[:60]}
        assert refusals in ({CLOSED}, {NO_SUCH_ACCOUNT}, {None, DORMANT})


def test_a_cut_call_carries_out_none_some_or_all() -> None:
    cuts = [call_cut(7, f"bulk-{number}", 10, Rates(cut=0.5)) for number in range(2000)]
    happened = [cut for cut in cuts if cut is not None]
    assert len(happened) == pytest.approx(1000, rel=0.1)
    assert {cut.processed for cut in happened} == set(range(11))
    assert {cut.hangs for cut in happened} == {True, False}


def test_bank_references_are_the_banks_own_and_stable() -> None:
    numbers = {bank_reference(7, reference) for reference in REFERENCES}
    assert len(numbers) == len(REFERENCES)
    assert all(len(number) == 15 and number.isdigit() for number in numbers)
    assert bank_reference(7, REFERENCES[0]) == bank_reference(7, REFERENCES[0])


@pytest.mark.parametrize("wrong", [{"refused": 1.5}, {"cut": -0.1}, {"delayed": 0.5, "timeout": 0.4, "late": 0.2}])
def test_impossible_rates_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"rate|together"):
        Rates(**wrong)


def test_a_good_transfer_is_read() -> None:
    assert read_transfer(TRANSFER) == Order("sembako:2026-11:r-1:1", 200_000, "002", "001201000123456")


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"partnerReferenceNo": None}, "4001802", "partnerReferenceNo"),
        ({"partnerReferenceNo": "x" * 65}, "4001801", "partnerReferenceNo"),
        ({"partnerReferenceNo": "with space"}, "4001801", "partnerReferenceNo"),
        ({"amount": None}, "4001802", "amount"),
        ({"amount": {"value": "200000", "currency": "IDR"}}, "4001801", "amount.value"),
        ({"amount": {"value": "200000.50", "currency": "IDR"}}, "4001801", "amount.value"),
        ({"amount": {"value": "0.00", "currency": "IDR"}}, "4001801", "amount.value"),
        ({"amount": {"value": "-1.00", "currency": "IDR"}}, "4001801", "amount.value"),
        ({"amount": {"value": 200000, "currency": "IDR"}}, "4001801", "amount.value"),
        ({"amount": {"value": "9999999999999999.00", "currency": "IDR"}}, "4001801", "amount.value"),
        ({"amount": {"value": "1.00", "currency": "USD"}}, "4001801", "amount.currency"),
        ({"amount": {"value": "1.00"}}, "4001802", "amount.currency"),
        ({"beneficiaryBankCode": "999"}, "4001801", "beneficiaryBankCode"),
        ({"beneficiaryBankCode": "02"}, "4001801", "beneficiaryBankCode"),
        ({"beneficiaryAccountNo": "12-34-56"}, "4001801", "beneficiaryAccountNo"),
        ({"beneficiaryAccountNo": "1" * 35}, "4001801", "beneficiaryAccountNo"),
        ({"beneficiaryAccountNo": ""}, "4001802", "beneficiaryAccountNo"),
        ({"beneficiaryAccountName": "   "}, "4001801", "beneficiaryAccountName"),
        ({"beneficiaryAccountName": "x" * 101}, "4001801", "beneficiaryAccountName"),
    ],
)
def test_a_wrong_field_is_named(change: dict[str, Any], code: str, field: str) -> None:
    read = read_transfer(TRANSFER | change)
    assert isinstance(read, Unusable)
    assert (read.code, read.field) == (code, field)
