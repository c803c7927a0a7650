"""Cycles over HTTP, for officers by their own tokens and for officers' programs on this machine (`salur cycle`).

Whoever proposes a cycle does not approve it: two people, by the subjects of their tokens.
"""

from datetime import datetime
from typing import Annotated, Any, Final, Literal

import asyncpg
from fastapi import APIRouter, Depends, Path, Response
from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints

from services.payout import events
from services.payout.configuration import Configuration
from services.payout.domain import ledger as books
from services.payout.domain.periods import check_period, cycle_id, same_door, same_officer
from services.payout.officers import (
    acting,
    caller_with,
    check_may_approve,
    check_may_look,
    check_may_propose,
    may_see_money,
)
from services.payout.store import cycles, doubts, ledger
from shared.clock import now
from shared.errors import SalurError
from shared.events.model import Name, Period
from shared.officers import Access, Officer
from shared.runtime.emit import Outbox

Stated = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=2, max_length=100, pattern=r"^[^\x00-\x1f\x7f\[\]]+$")
]
CycleName = Annotated[str, Path(max_length=100, pattern=r"^[\x21-\x7e]+$")]
BUDGET_IDR_MAX = 10**15


class Proposal(BaseModel):
    """What an officer proposes. `by`: stated by officers' programs only."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    programme: Name
    period: Period
    budget_idr: int = Field(gt=0, le=BUDGET_IDR_MAX)
    by: Stated | None = None


class Approval(BaseModel):
    """Who approves: stated by officers' programs only."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    by: Stated | None = None


class CycleView(BaseModel):
    """A cycle with its accounts and the counts of its payouts; amounts in rupiah.

    Accounts and counts are those of the programme's whole region, and null for an officer of a part of it.
    """

    cycle: str
    programme: str
    period: str
    mode: Literal["continuous", "ranked"]
    state: Literal["proposed", "open", "closing", "closed"]
    budget_idr: int
    funded_idr: int | None
    available_idr: int | None
    reserved_idr: int | None
    in_transit_idr: int | None
    paid_idr: int | None
    returned_idr: int | None
    queued: int | None
    queued_idr: int | None
    ordered: int | None
    at_the_bank: int | None
    confirmed: int | None
    failed: int | None
    cancelled: int | None
    proposed_by: str
    proposed_at: datetime
    approved_by: str | None
    approved_at: datetime | None
    closed_at: datetime | None


MONEY: Final = frozenset(name for name, field in CycleView.model_fields.items() if field.annotation == int | None)
"""The fields that `may_see_money` decides about."""


class NoSuchCycle(SalurError):
    """There is no cycle of this name."""

    http_status = 404


class NoSuchProgramme(SalurError):
    """Nobody has said how this programme is paid."""

    http_status = 422


class CycleConflict(SalurError):
    """The cycle exists, is approved already, or may not be approved by this officer or now."""

    http_status = 409


class ProposedOtherwise(CycleConflict):
    """Somebody has proposed this programme and period with another budget, or somebody else has."""


class ApprovedAlready(CycleConflict):
    """Another officer has approved it."""


class OwnProposal(CycleConflict):
    """Whoever proposes does not approve."""


class TwoDoors(CycleConflict):
    """One has proposed by an own token and the other only states a name, or the other way round."""


class OpenedLater(CycleConflict):
    """A later period is open already."""


async def propose(
    outbox: Outbox, known: Configuration, proposal: Proposal, officer: Officer | None = None
) -> tuple[dict[str, Any], bool]:
    """The cycle, and whether it is new: the same proposal again changes nothing. `officer`: None for a program.

    Raises NoSuchProgramme, PeriodDoesNotFit, WhoActs, MayNot, ProposedOtherwise.
    """
    by = acting(officer, proposal.by)
    programme = known.programmes.get(proposal.programme)
    if programme is None:
        raise NoSuchProgramme(
            "nobody has said how this programme is paid",
            hint=f"these are known: {', '.join(sorted(known.programmes))}",
        )
    check_may_propose(officer, programme)
    check_period(proposal.programme, programme.period, proposal.period)
    cycle = cycle_id(proposal.programme, proposal.period)
    async with outbox.transaction() as transaction:
        tx, at = transaction.tx, now()
        new = await cycles.propose(
            tx,
            cycle,
            proposal.programme,
            proposal.period,
            programme.mode,
            proposal.budget_idr,
            by,
            at,
        )
        found = await _described(tx, cycle)
        if new:
            transaction.emit([events.cycle_proposed(found, at)])
        elif found["budget_idr"] != proposal.budget_idr or not same_officer(found["proposed_by"], by):
            raise ProposedOtherwise(
                f"{found['proposed_by']} has proposed {cycle} with Rp{found['budget_idr']:,}; it is {found['state']}",
                hint="a programme has one cycle a period",
            )
    return found, new


async def approve(
    outbox: Outbox, known: Configuration, cycle: str, stated: str | None, officer: Officer | None = None
) -> dict[str, Any]:
    """Opens the cycle, funds its ledger and lets the one before wind up; the same approval again changes nothing.

    `officer`: None for a program, which states who acts. Raises NoSuchCycle, WhoActs, MayNot, CycleConflict.
    """
    by = acting(officer, stated)
    async with outbox.transaction() as transaction:
        tx, at = transaction.tx, now()
        rows = {row["cycle"]: row for row in await cycles.lock_programme_of(tx, cycle)}
        if cycle not in rows:
            raise NoSuchCycle(f"there is no cycle {cycle}", hint="`salur cycle list` shows them")
        row = rows[cycle]
        check_may_approve(officer, known.programmes.get(row["programme"]))
        if row["state"] != "proposed":
            if same_officer(row["approved_by"], by):
                return await _described(tx, cycle)
            raise ApprovedAlready(f"{row['approved_by']} has approved {cycle} already; it is {row['state']}")
        if not same_door(row["proposed_by"], by):
            raise TwoDoors(
                f"{row['proposed_by']} has proposed {cycle}, and {by} approves by another door",
                hint="propose and approve by the same door: both with officers' own accounts, or both by `salur cycle`",
            )
        if same_officer(row["proposed_by"], by):
            raise OwnProposal(f"{by} has proposed {cycle}", hint="another officer must approve it")
        _check_order(row, list(rows.values()))
        await cycles.close_open(tx, row["programme"])
        await cycles.approve(tx, cycle, by, at)
        await doubts.carry_over(tx, cycle, row["programme"])
        await ledger.add(tx, [books.fund(cycle, row["budget_idr"], at)])
        transaction.emit([events.cycle_approved(row, by, at)])
        return await _described(tx, cycle)


def router(outbox: Outbox, known: Configuration, token: SecretStr | None, access: Access | None = None) -> APIRouter:
    """The endpoints under /cycles. Without a token no program is let in, without `access` no officer."""
    caller = caller_with(token, access)
    routes = APIRouter(prefix="/cycles", tags=["cycles"])
    Caller = Annotated[Officer | None, Depends(caller)]  # noqa: N806 - a type

    def view(found: dict[str, Any], officer: Officer | None) -> CycleView:
        hidden = () if may_see_money(officer, known.programmes.get(found["programme"])) else MONEY
        return CycleView(**found | dict.fromkeys(hidden))

    @routes.post("", status_code=201)
    async def propose_cycle(proposal: Proposal, response: Response, officer: Caller) -> CycleView:
        found, new = await propose(outbox, known, proposal, officer)
        response.status_code = 201 if new else 200
        return view(found, officer)

    @routes.post("/{cycle}/approve")
    async def approve_cycle(cycle: CycleName, approval: Approval, officer: Caller) -> CycleView:
        return view(await approve(outbox, known, cycle, approval.by, officer), officer)

    @routes.get("")
    async def list_cycles(officer: Caller) -> list[CycleView]:
        check_may_look(officer)
        return [view(found, officer) for found in await cycles.all_described(outbox.pool)]

    @routes.get("/{cycle}")
    async def show_cycle(cycle: CycleName, officer: Caller) -> CycleView:
        check_may_look(officer)
        return view(await _described(outbox.pool, cycle), officer)

    return routes


def _check_order(row: asyncpg.Record, rows: list[asyncpg.Record]) -> None:
    """Periods are opened in the order of time: an earlier one would close a later one. Raises OpenedLater."""
    later = [other["period"] for other in rows if other["state"] != "proposed" and other["period"] > row["period"]]
    if later:
        raise OpenedLater(
            f"{row['programme']} was opened for {max(later)} already, which is later than {row['period']}",
            hint="propose the next period",
        )


async def _described(tx: asyncpg.Connection | asyncpg.Pool, cycle: str) -> dict[str, Any]:
    found = await cycles.described(tx, cycle)
    if found is None:
        raise NoSuchCycle(f"there is no cycle {cycle}", hint="`salur cycle list` shows them")
    return found
