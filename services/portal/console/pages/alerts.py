"""Alerts of the monitor: what stands now, with what to look at and what to do, and what is over."""

from fastapi import APIRouter, Response

from services.portal.console.context import PAGE, Console
from services.portal.console.gate import Visiting
from services.portal.console.store import alerts
from services.portal.console.store.area import bounds
from shared.officers.officer import ROLES


def make_routers(console: Console) -> tuple[APIRouter, ...]:
    routes = console.router()

    @routes.get("/alerts", name="alerts")
    async def listed(visit: Visiting) -> Response:
        visit.officer.need(*ROLES)
        within = bounds(visit.officer.area)
        return console.pages.show(
            visit.request,
            visit,
            "alerts.html",
            here="alerts",
            standing=await alerts.standing(console.pool, within),
            past=await alerts.past(console.pool, within, PAGE),
        )

    return (routes,)
