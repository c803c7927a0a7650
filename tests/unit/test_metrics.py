"""What is counted: money by programme and code, the bank's answers, and what stands at zero from the start."""

from datetime import UTC, datetime
from typing import Any

from prometheus_client import REGISTRY

from services.payout import configuration, events, metrics
from services.payout.domain.answers import Answer, Said
from services.payout.events import Told
from shared.events import first_cause

AT = datetime(2026, 11, 25, tzinfo=UTC)


def told(programme: str, amount_idr: int) -> Told:
    cycle = f"{programme}-2026-11"
    return Told("r-" + "0" * 32, cycle, programme, 1, 1, 1, amount_idr, "7604012001", None, first_cause("c", "s"), AT)


def value(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


def money(outcome: str, code: str = "", programme: str = "pkh") -> tuple[Any, Any]:
    labels = {"programme": programme, "outcome": outcome, "code": code}
    return value("salur_payouts_total", **labels), value("salur_payout_idr_total", **labels)


def test_rupiah_are_counted_by_programme_outcome_and_code() -> None:
    known = configuration.load()
    metrics.PAYOUTS.clear()
    metrics.PAYOUT_IDR.clear()
    metrics.announce(known)
    assert money("failed", "account_closed") == (0, 0)
    reference = "R" * 20
    metrics.count_payouts(
        [
            events.ordered(told("pkh", 600_000), reference, "himbara"),
            events.ordered(told("pkh", 300_000), reference, "himbara"),
            events.ordered(told("sembako", 200_000), reference, "himbara"),
            events.confirmed(told("pkh", 600_000), reference, "himbara", "B1"),
            events.failed(told("pkh", 300_000), reference, "himbara", "account_closed", known),
            events.cancelled(told("sembako", 200_000), "cycle_closed", known),
        ]
    )
    assert money("ordered") == (2, 900_000)
    assert money("ordered", programme="sembako") == (1, 200_000)
    assert money("confirmed") == (1, 600_000)
    assert money("failed", "account_closed") == (1, 300_000)
    assert money("failed", "account_dormant") == (0, 0)
    assert money("cancelled", "cycle_closed", "sembako") == (1, 200_000)


def test_a_budget_is_shown_while_its_cycle_is_open() -> None:
    metrics.show_budget("pkh", 1_000_000, 250_000)
    assert value("salur_budget_idr", programme="pkh") == 1_000_000
    assert value("salur_budget_left_idr", programme="pkh") == 250_000
    metrics.forget_budget("pkh")
    assert value("salur_budget_left_idr", programme="pkh") is None


def test_a_state_without_orders_stands_at_zero() -> None:
    metrics.show_orders([("claimed", 500, 4.5), ("unknown", 2, 61.0)])
    metrics.show_orders([("claimed", 100, 2.0)])
    found = {
        state: (value("salur_orders", state=state), value("salur_oldest_order_seconds", state=state))
        for state in metrics.ORDER_STATES
    }
    assert found == {"ordered": (0, 0), "unsent": (0, 0), "claimed": (100, 2.0), "unknown": (0, 0)}


def test_answers_of_a_bank_are_counted_by_what_they_mean() -> None:
    metrics.count_answers("a-bank", [Answer("a", Said.DONE), Answer("b", Said.FAILED, "account_closed")])
    assert value("salur_bank_answers_total", channel="a-bank", said="done", code="") == 1
    assert value("salur_bank_answers_total", channel="a-bank", said="failed", code="account_closed") == 1
