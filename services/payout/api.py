"""Cycles over HTTP, for officers on this machine: `salur cycle` calls it.

Whoever proposes a cycle does not approve it. The token says that a caller is an officer's program; the names are what
that program states, and stand in the events.
"""

import hmac
import ipaddress
from datetime import datetime
from typing import Annotated, Any, Literal

import asyncpg
from fastapi import APIRouter, Depends, Header, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints

from services.payout import events
from services.payout.configuration import Configuration
from services.payout.domain import ledger as books
from services.payout.domain.periods import check_period, cycle_id, same_officer
from services.payout.store import cycles, doubts, ledger
from shared.clock import now
from shared.errors import SalurError
from shared.events.model import Name, Period
from shared.runtime.emit import Outbox

Officer = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=2, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")
]
CycleName = Annotated[str, Path(max_length=100, pattern=r"^[\x21-\x7e]+$")]
BUDGET_IDR_MAX = 10**15


class Proposal(BaseModel):
    """What an officer proposes."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    programme: Name
    period: Period
    budget_idr: int = Field(gt=0, le=BUDGET_IDR_MAX)
    by: Officer


class Approval(BaseModel):
    """Who approves."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    by: Officer


class CycleView(BaseModel):
    """A cycle with its accounts and the counts of its payouts; amounts in rupiah."""

    cycle: str
    programme: str
    period: str
    mode: Literal["continuous", "ranked"]
    state: Literal["proposed", "open", "closing", "closed"]
    budget_idr: int
    funded_idr: int
    available_idr: int
    reserved_idr: int
    in_transit_idr: int
    paid_idr: int
    returned_idr: int
    queued: int
    queued_idr: int
    ordered: int
    at_the_bank: int
    confirmed: int
    failed: int
    cancelled: int
    proposed_by: str
    proposed_at: datetime
    approved_by: str | None
    approved_at: datetime | None
    closed_at: datetime | None


class NotAnOfficer(SalurError):
    """The token is missing or wrong."""

    http_status = 401


class NotFromHere(SalurError):
    """Cycles are proposed and approved on the machine itself."""

    http_status = 403


class NoSuchCycle(SalurError):
    """There is no cycle of this name."""

    http_status = 404


class NoSuchProgramme(SalurError):
    """Nobody has said how this programme is paid."""

    http_status = 422


class CycleConflict(SalurError):
    """The cycle exists, is approved already, or may not be approved by this officer or now."""

    http_status = 409


async def propose(outbox: Outbox, known: Configuration, proposal: Proposal) -> tuple[dict[str, Any], bool]:
    """The cycle, and whether it is new: the same proposal again changes nothing.

    Raises NoSuchProgramme, PeriodDoesNotFit, CycleConflict (there is another proposal for this programme and period).
    """
    programme = known.programmes.get(proposal.programme)
    if programme is None:
        raise NoSuchProgramme(
            "nobody has said how this programme is paid",
            hint=f"these are known: {', '.join(sorted(known.programmes))}",
        )
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
            proposal.by,
            at,
        )
        found = await _described(tx, cycle)
        if new:
            transaction.emit([events.cycle_proposed(found, at)])
        elif found["budget_idr"] != proposal.budget_idr or not same_officer(found["proposed_by"], proposal.by):
            raise CycleConflict(
                f"{found['proposed_by']} has proposed {cycle} with Rp{found['budget_idr']:,}; it is {found['state']}",
                hint="a programme has one cycle a period",
            )
    return found, new


async def approve(outbox: Outbox, cycle: str, by: str) -> dict[str, Any]:
    """Opens the cycle, funds its ledger and lets the one before wind up; the same approval again changes nothing.

    Raises NoSuchCycle, CycleConflict.
    """
    async with outbox.transaction() as transaction:
        tx, at = transaction.tx, now()
        rows = {row["cycle"]: row for row in await cycles.lock_programme_of(tx, cycle)}
        if cycle not in rows:
            raise NoSuchCycle(f"there is no cycle {cycle}", hint="`salur cycle list` shows them")
        row = rows[cycle]
        if row["state"] != "proposed":
            if same_officer(row["approved_by"], by):
                return await _described(tx, cycle)
            raise CycleConflict(f"{row['approved_by']} has approved {cycle} already; it is {row['state']}")
        if same_officer(row["proposed_by"], by):
            raise CycleConflict(f"{by} has proposed {cycle}", hint="another officer must approve it")
        _check_order(row, list(rows.values()))
        await cycles.close_open(tx, row["programme"])
        await cycles.approve(tx, cycle, by, at)
        await doubts.carry_over(tx, cycle, row["programme"])
        await ledger.add(tx, [books.fund(cycle, row["budget_idr"], at)])
        transaction.emit([events.cycle_approved(row, by, at)])
        return await _described(tx, cycle)


def router(outbox: Outbox, known: Configuration, token: SecretStr | None) -> APIRouter:
    """The endpoints under /cycles. Without a token nobody is let in."""

    def officer(request: Request, authorization: Annotated[str | None, Header()] = None) -> None:
        if request.client is None or not _is_loopback(request.client.host):
            raise NotFromHere("cycles are handled on the machine that runs the payout service")
        expected = f"Bearer {token.get_secret_value()}" if token else ""
        if not token or not hmac.compare_digest((authorization or "").encode(), expected.encode()):
            raise NotAnOfficer("the officer's token is missing or wrong", hint="set SALUR_OFFICER_TOKEN")

    routes = APIRouter(prefix="/cycles", dependencies=[Depends(officer)], tags=["cycles"])

    @routes.post("", status_code=201)
    async def propose_cycle(proposal: Proposal, response: Response) -> CycleView:
        found, new = await propose(outbox, known, proposal)
        response.status_code = 201 if new else 200
        return CycleView(**found)

    @routes.post("/{cycle}/approve")
    async def approve_cycle(cycle: CycleName, approval: Approval) -> CycleView:
        return CycleView(**await approve(outbox, cycle, approval.by))

    @routes.get("")
    async def list_cycles() -> list[CycleView]:
        return [CycleView(**found) for found in await cycles.all_described(outbox.pool)]

    @routes.get("/{cycle}")
    async def show_cycle(cycle: CycleName) -> CycleView:
        return CycleView(**await _described(outbox.pool, cycle))

    return routes


def _check_order(row: asyncpg.Record, rows: list[asyncpg.Record]) -> None:
    """Periods are opened in the order of time: an earlier one would close a later one. Raises CycleConflict."""
    later = [other["period"] for other in rows if other["state"] != "proposed" and other["period"] > row["period"]]
    if later:
        raise CycleConflict(
            f"{row['programme']} was opened for {max(later)} already, which is later than {row['period']}",
            hint="propose the next period",
        )


async def _described(tx: asyncpg.Connection | asyncpg.Pool, cycle: str) -> dict[str, Any]:
    found = await cycles.described(tx, cycle)
    if found is None:
        raise NoSuchCycle(f"there is no cycle {cycle}", hint="`salur cycle list` shows them")
    return found


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
