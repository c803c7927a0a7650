"""What a bank's answer means for an order, by tables and by properties."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.payout.domain.answers import Answer, Contradiction, Order, Outcome, Pauses, Said, resolve
from services.payout.domain.states import (
    AT_THE_BANK,
    ENDED,
    PAYOUT,
    PayoutState,
    is_legal,
)

AT = datetime(2026, 11, 24, 7, 0, tzinfo=UTC)
PAUSES = Pauses(window_s=20, first_inquiry_after_s=1, inquiry_pause_max_s=8, resend_after_s=2)
S = PayoutState


def _resolve(
    state: PayoutState, said: Said, *, sends: int = 1, asked_after_s: float = 1
) -> Outcome | Contradiction | None:
    at = AT + timedelta(seconds=asked_after_s)
    answer = Answer("X", said, "account_closed" if said in (Said.FAILED, Said.UNREADABLE) else None)
    return resolve(Order(state, 1, 0, AT), answer, sends=sends, called_at=at, now=at, pauses=PAUSES)


@pytest.mark.parametrize(
    ("state", "said", "becomes"),
    [
        *((state, Said.DONE, S.CONFIRMED) for state in (S.CLAIMED, S.UNKNOWN, S.UNSENT)),
        *((state, Said.FAILED, S.FAILED) for state in (S.CLAIMED, S.UNKNOWN, S.UNSENT)),
        *((state, Said.PENDING, S.UNKNOWN) for state in sorted(AT_THE_BANK)),
        *((state, Said.UNCLEAR, S.UNKNOWN) for state in sorted(AT_THE_BANK)),
        *((state, Said.USED, S.UNKNOWN) for state in sorted(AT_THE_BANK)),
        *((state, Said.NOT_FOUND, S.UNKNOWN) for state in sorted(AT_THE_BANK)),
        *((state, Said.NOT_TAKEN, S.UNSENT) for state in sorted(AT_THE_BANK)),
        *((state, Said.UNREADABLE, S.FAILED) for state in sorted(AT_THE_BANK)),
        (S.CONFIRMED, Said.DONE, None),
        (S.FAILED, Said.FAILED, None),
        (S.CANCELLED, Said.FAILED, None),
        *((state, said, None) for state in (S.UNSENT, S.ORDERED, S.QUEUED, *sorted(ENDED), S.CONFIRMED)
          for said in (Said.PENDING, Said.NOT_FOUND, Said.NOT_TAKEN, Said.USED, Said.UNCLEAR, Said.UNREADABLE)),
    ],
)  # fmt: skip
def test_answers(state: PayoutState, said: Said, becomes: PayoutState | None) -> None:
    found = _resolve(state, said)
    if becomes is None:
        assert found is None
        return
    assert isinstance(found, Outcome)
    assert found.state == becomes
    assert is_legal(PAYOUT, state, becomes) or state == becomes
    assert (found.due_at is None) == (becomes in (S.CONFIRMED, S.FAILED))


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (S.CANCELLED, Said.DONE),
        (S.FAILED, Said.DONE),
        (S.ORDERED, Said.DONE),
        (S.QUEUED, Said.DONE),
        (S.CONFIRMED, Said.FAILED),
    ],
)
def test_what_cannot_be_is_reported_and_changes_nothing(state: PayoutState, said: Said) -> None:
    assert isinstance(_resolve(state, said), Contradiction)


@pytest.mark.parametrize(("asked_after_s", "becomes"), [(0, S.UNKNOWN), (19.9, S.UNKNOWN), (20, S.UNSENT)])
def test_not_found_counts_only_when_asked_after_the_window(asked_after_s: float, becomes: PayoutState) -> None:
    found = _resolve(S.UNKNOWN, Said.NOT_FOUND, asked_after_s=asked_after_s)
    assert isinstance(found, Outcome)
    assert found.state == becomes
    assert found.due_at is not None
    assert found.due_at <= max(AT + timedelta(seconds=20), AT + timedelta(seconds=asked_after_s))


@pytest.mark.parametrize("said", [s for s in Said if s not in (Said.DONE, Said.FAILED)])
def test_an_answer_to_an_older_call_counts_only_when_it_is_final(said: Said) -> None:
    assert _resolve(S.CLAIMED, said, sends=0) is None
    assert isinstance(_resolve(S.CLAIMED, Said.DONE, sends=0), Outcome)


@given(st.integers(0, 60))
def test_pauses_grow_to_their_limit(asks: int) -> None:
    found = resolve(
        Order(S.UNKNOWN, 1, asks, AT), Answer("X", Said.PENDING), sends=1, called_at=AT, now=AT, pauses=PAUSES
    )
    assert isinstance(found, Outcome)
    assert found.due_at == AT + timedelta(seconds=min(8, 2**asks))
