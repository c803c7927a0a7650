"""What this service counts beyond what every process does: money, in rupiah, and the bank."""

from collections import Counter as Tally
from collections.abc import Iterable, Sequence
from typing import Any, Final

from prometheus_client import Counter, Gauge, Histogram

from services.payout.configuration import Configuration
from services.payout.domain.answers import Answer
from shared.events import Event, PayoutCancelled, PayoutConfirmed, PayoutFailed, PayoutOrdered, PayoutQueued

PAYOUTS = Counter("salur_payouts", "Payouts that came to an outcome", ["programme", "outcome", "code"])
PAYOUT_IDR = Counter("salur_payout_idr", "Rupiah of payouts that came to an outcome", ["programme", "outcome", "code"])
BUDGET_IDR = Gauge("salur_budget_idr", "Rupiah approved for the open cycle", ["programme"])
BUDGET_LEFT_IDR = Gauge("salur_budget_left_idr", "Rupiah of the open cycle that nobody was given", ["programme"])
BANK_ANSWERS = Counter("salur_bank_answers", "Answers about single orders", ["channel", "said", "code"])
BANK_SECONDS = Histogram(
    "salur_bank_call_seconds",
    "Seconds until the bank answered a call with many orders",
    ["channel"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
CONTRADICTIONS = Counter("salur_bank_contradictions", "What the bank said that cannot be true; for a person")
ORDERS = Gauge("salur_orders", "Orders that are not at their end, counted up to 10,000 a pair of states", ["state"])
OLDEST_ORDER_SECONDS = Gauge("salur_oldest_order_seconds", "Seconds that the oldest order stands so", ["state"])
IN_DOUBT = Gauge(
    "salur_recipients_in_doubt", "Whom a lost database may have paid: the bank is asked first, counted up to 10,000"
)

ORDER_STATES: Final = ("ordered", "unsent", "claimed", "unknown")
_OUTCOMES: Final[dict[type[Any], str]] = {
    PayoutQueued: "queued",
    PayoutOrdered: "ordered",
    PayoutConfirmed: "confirmed",
    PayoutFailed: "failed",
    PayoutCancelled: "cancelled",
}


def announce(known: Configuration) -> None:
    """Outcomes stand at zero from the start: Prometheus sees no increase in what begins above it."""
    codes = {code for bank in known.banks.values() for code in bank.codes.failed.values()} | {"refused_by_bank"}
    for programme in known.programmes:
        for outcome in ("ordered", "confirmed"):
            PAYOUTS.labels(programme, outcome, "")
            PAYOUT_IDR.labels(programme, outcome, "")
        for code in codes:
            PAYOUTS.labels(programme, "failed", code)
            PAYOUT_IDR.labels(programme, "failed", code)


def count_payouts(events: Iterable[Event[Any]]) -> None:
    """Of events that were committed."""
    payouts, rupiah = Tally[tuple[str, str, str]](), Tally[tuple[str, str, str]]()
    for event in events:
        if outcome := _OUTCOMES.get(type(event.data)):
            key = event.data.programme, outcome, vars(event.data).get("code", "")
            payouts[key] += 1
            rupiah[key] += event.data.amount_idr
    for key, count in payouts.items():
        PAYOUTS.labels(*key).inc(count)
        PAYOUT_IDR.labels(*key).inc(rupiah[key])


def count_answers(channel: str, answers: Sequence[Answer]) -> None:
    for (said, code), count in Tally((answer.said, answer.code or "") for answer in answers).items():
        BANK_ANSWERS.labels(channel, said, code).inc(count)


def show_budget(programme: str, budget_idr: int, left_idr: int) -> None:
    BUDGET_IDR.labels(programme).set(budget_idr)
    BUDGET_LEFT_IDR.labels(programme).set(left_idr)


def forget_budget(programme: str) -> None:
    """Its cycle is not open any more."""
    BUDGET_IDR.remove(programme)
    BUDGET_LEFT_IDR.remove(programme)


def show_orders(standing: Iterable[tuple[str, int, float]]) -> None:
    """`standing`: state, how many, seconds that the oldest stands so."""
    found = {state: (count, seconds) for state, count, seconds in standing}
    for state in ORDER_STATES:
        count, seconds = found.get(state, (0, 0.0))
        ORDERS.labels(state).set(count)
        OLDEST_ORDER_SECONDS.labels(state).set(seconds)
