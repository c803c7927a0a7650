"""What a recipient reads about each programme: pure, from rows of the read model."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, Literal, NamedTuple

State = Literal["paid", "sending", "waiting", "failed", "granted", "refused"]


class Said(NamedTuple):
    """A sentence in both languages."""

    id: str
    en: str


class Decision(NamedTuple):
    """The current decision about one programme. `reasons` stand in the clear, `particulars` were opened for this."""

    programme: str
    eligible: bool
    amount_idr: int
    reasons: tuple[Said, ...]
    particulars: tuple[Said, ...]
    at: datetime


class Payout(NamedTuple):
    """A payout as it stands. `why` is there when it failed or was cancelled."""

    programme: str
    cycle: str
    period: str
    state: Literal["queued", "ordered", "confirmed", "failed", "cancelled"]
    amount_idr: int
    place: int | None
    channel: str | None
    code: str | None
    why: Said | None
    at: datetime


class Card(NamedTuple):
    """One programme on the page: `next_step` names the text that says what to do."""

    programme: str
    state: State
    decision: Decision | None
    payout: Payout | None
    next_step: str


_STATES: Final[Mapping[str, State]] = {
    "queued": "waiting",
    "ordered": "sending",
    "confirmed": "paid",
    "failed": "failed",
    "cancelled": "granted",
}
_NEXT_FAILED: Final[Mapping[str, str]] = {
    "account_closed": "next_failed_account",
    "account_unknown": "next_failed_account",
    "account_invalid": "next_failed_account",
    "account_unreadable": "next_failed_account",
    "account_erased": "next_failed_account",
    "no_account": "next_failed_account",
    "account_dormant": "next_failed_dormant",
    "nothing_to_pay": "next_failed_nothing",
    "family_paid": "next_failed_nothing",
}
"""By the codes of payout's reasons; any other: ask."""


_NEEDS_ACCOUNT: Final = frozenset({"next_granted", "next_waiting"})
"""What says that there is nothing to do but wait for the money."""


def cards(decisions: Sequence[Decision], payouts: Sequence[Payout], *, has_account: bool) -> list[Card]:
    """One for each programme that decided or paid anything, in the order of `decisions`, then of `payouts`."""
    decided = {decision.programme: decision for decision in decisions}
    newest: dict[str, Payout] = {}
    for payout in payouts:
        known = newest.get(payout.programme)
        if known is None or (known.period, known.at) < (payout.period, payout.at):
            newest[payout.programme] = payout
    made = [_card(name, decided.get(name), newest.get(name)) for name in dict.fromkeys((*decided, *newest))]
    if has_account:
        return made
    return [card._replace(next_step="next_no_account") if card.next_step in _NEEDS_ACCOUNT else card for card in made]


def history(payouts: Sequence[Payout]) -> list[Payout]:
    """The newest first."""
    return sorted(payouts, key=lambda payout: (payout.at, payout.cycle), reverse=True)


def _card(programme: str, decision: Decision | None, payout: Payout | None) -> Card:
    if decision is not None and not decision.eligible:
        # Money that was sent before the no is still on its way, or has arrived.
        shown = payout if payout and payout.state in ("ordered", "confirmed") else None
        return Card(programme, "refused", decision, shown, "next_refused")
    if payout is None:
        return Card(programme, "granted", decision, None, "next_granted")
    state = _STATES[payout.state]
    next_step = _NEXT_FAILED.get(payout.code or "", "next_failed") if state == "failed" else f"next_{state}"
    return Card(programme, state, decision, payout, next_step)
