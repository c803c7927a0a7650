"""Cycles, proposed by one officer and approved by another, and the payouts that failed."""

import asyncio
from collections.abc import Callable
from typing import Annotated, Any, Final

import asyncpg
import orjson
from fastapi import APIRouter, Path, Response

from services.portal.console.amounts import rupiah_of
from services.portal.console.context import PAGE, Console, after, cursor
from services.portal.console.gate import NotFound, Visit, Visiting
from services.portal.console.store import money, overview
from services.portal.console.store.area import bounds

CycleName = Annotated[str, Path(pattern=r"^[\x21-\x7e]{1,100}$")]
REGENCY: Final = 4
TOLD_WITHIN_S: Final = 5.0
"""So long a page waits until the read model has heard of what was just done."""


def make_routers(console: Console) -> tuple[APIRouter, ...]:
    routes = console.router()
    pages, pool = console.pages, console.pool

    @routes.get("/cycles", name="cycles")
    async def listed(visit: Visiting) -> Response:
        visit.officer.need("read", "enter", "approve", "audit")
        return await list_page(visit, {}, [])

    async def list_page(visit: Visit, given: dict[str, str], wrong: list[str]) -> Response:
        within = bounds(visit.officer.area)
        rows = [_with_states(row) for row in await money.cycles(pool, within)]
        totals = await overview.totals(pool, within)
        decided = {row["name"] for row in totals if row["what"] == "decision"}
        return pages.show(
            visit.request,
            visit,
            "cycles.html",
            status=422 if wrong else 200,
            here="cycles",
            cycles=rows,
            programmes=sorted(decided | {row["programme"] for row in rows}),
            given=given,
            wrong=wrong,
            may_propose=visit.officer.has("enter") and len(visit.officer.area) <= REGENCY,
        )

    @routes.get("/cycles/{cycle}", name="cycle")
    async def one(cycle: CycleName, visit: Visiting) -> Response:
        visit.officer.need("read", "enter", "approve", "audit")
        visit.about = cycle
        found = await money.cycles(pool, bounds(visit.officer.area), cycle)
        if not found:
            raise NotFound("there is no such cycle")
        may_approve = visit.officer.has("approve") and len(visit.officer.area) <= REGENCY
        return pages.show(
            visit.request, visit, "cycle.html", here="cycles", cycle=_with_states(found[0]), may_approve=may_approve
        )

    @routes.post("/cycles", name="cycle.propose")
    async def propose(visit: Visiting) -> Response:
        visit.officer.need("enter")
        given = visit.form
        budget = rupiah_of(given.get("budget_idr", ""))
        wrong = [name for name in ("programme", "period") if not given.get(name, "").strip()]
        if not budget:
            wrong.append("budget_idr")
        visit.about = f"{given.get('programme', '')}-{given.get('period', '')}"[:100]
        if wrong or not budget:
            visit.outcome = "refused"
            return await list_page(visit, given, wrong)
        told = await console.acts.propose(visit.session, given["programme"], given["period"].strip(), budget)
        visit.about = told["cycle"]
        await heard(told["cycle"], lambda row: row["proposed_at"] is not None)
        return pages.to(f"/console/cycles/{told['cycle']}", done="proposed")

    @routes.post("/cycles/{cycle}/approve", name="cycle.approve")
    async def approve(cycle: CycleName, visit: Visiting) -> Response:
        visit.officer.need("approve")
        visit.about = cycle
        await console.acts.approve(visit.session, cycle)
        await heard(cycle, lambda row: row["approved_at"] is not None)
        return pages.to(f"/console/cycles/{cycle}", done="approved")

    async def heard(cycle: str, enough: Callable[[asyncpg.Record], bool]) -> None:
        until = asyncio.get_running_loop().time() + TOLD_WITHIN_S
        while asyncio.get_running_loop().time() < until:
            found = await money.cycles(pool, bounds(""), cycle)
            if found and enough(found[0]):
                return
            await asyncio.sleep(0.1)

    @routes.get("/payouts/failed", name="failures")
    async def failures(visit: Visiting, code: str = "", go_on: str = "") -> Response:
        visit.officer.need("read")
        within = bounds(visit.officer.area)
        start = after(go_on, 2)
        rows = await money.failed(pool, within, code=code or None, after=start, limit=PAGE + 1)
        reasons = [] if visit.is_part else await money.reasons(pool, within)
        last = rows[PAGE - 1] if len(rows) > PAGE else None
        return pages.show(
            visit.request,
            visit,
            "failures-rows.html" if visit.is_part else "failures.html",
            here="failures",
            rows=rows[:PAGE],
            reasons=reasons,
            code=code,
            begun=start is not None,
            next=cursor(last["at"], last["recipient_id"], last["cycle"]) if last else None,
        )

    return (routes,)


def _with_states(row: asyncpg.Record) -> dict[str, Any]:
    """`states`: by state how many payouts and how much rupiah."""
    return {**row, "states": orjson.loads(row["states"])}
