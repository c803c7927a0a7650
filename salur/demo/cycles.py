"""The cycles of the demo: proposed by one officer, approved by another, budgets in proportion to the families."""

from datetime import date
from typing import NamedTuple

from salur.commands.cycle import call
from salur.stack.home import Home

PROPOSER, APPROVER = "siti", "abdul"


class PlannedCycle(NamedTuple):
    """`budget_a_family_idr` was chosen so that Sembako and PKH have enough, and the ranked one must let some wait."""

    programme: str
    budget_a_family_idr: int
    quarterly: bool
    ranked: bool


CYCLES = (
    PlannedCycle("sembako", 140_000, quarterly=False, ranked=False),
    PlannedCycle("pkh", 600_000, quarterly=True, ranked=False),
    PlannedCycle("bantuan-polman", 24_000, quarterly=False, ranked=True),
)


def period(planned: PlannedCycle, today: date) -> str:
    return f"{today.year}-Q{(today.month + 2) // 3}" if planned.quarterly else f"{today:%Y-%m}"


def propose(home: Home, planned: PlannedCycle, families: int, today: date) -> str:
    """Proposes the cycle and returns its id. Raises CycleRefused."""
    body = {
        "programme": planned.programme,
        "period": period(planned, today),
        "budget_idr": planned.budget_a_family_idr * families,
        "by": PROPOSER,
    }
    return str(call("POST", "/cycles", None, body, home=home.root)["cycle"])


def approve(home: Home, cycle: str) -> None:
    """Raises CycleRefused."""
    call("POST", f"/cycles/{cycle}/approve", None, {"by": APPROVER}, home=home.root)
