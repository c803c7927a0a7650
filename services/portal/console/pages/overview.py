"""The overview: the flow as it moves, within the officer's area."""

from time import monotonic
from typing import Any, Final

from fastapi import APIRouter, Response

from services.portal.console.context import Console
from services.portal.console.flow import Pulse, moved, picture
from services.portal.console.gate import Visit, Visiting
from services.portal.console.store import alerts, overview
from services.portal.console.store.area import bounds
from shared.clock import now
from shared.officers.officer import ROLES

_BELOW: Final = {0: 6, 2: 6, 4: 6, 6: 10, 10: 10}
"""By the digits of an area: those of the regions that are shown within it."""


def make_routers(console: Console) -> tuple[APIRouter, ...]:
    """The page, and the figures of it that it fetches anew."""
    routes = console.router()
    parts = APIRouter(prefix="/console", route_class=console.gate.refreshed(), include_in_schema=False)
    pulse = Pulse()

    async def answer(visit: Visit, template: str) -> Response:
        visit.officer.need(*ROLES)
        within = bounds(visit.officer.area)
        rows = await overview.totals(console.pool, within)
        rates = pulse.rates(visit.officer.area, moved(rows), monotonic())
        regions = await overview.regions(console.pool, within, _BELOW[len(visit.officer.area)])
        standing = await alerts.standing(console.pool, within)
        shown: dict[str, Any] = {"flow": picture(rows, rates), "regions": regions, "at": now(), "alerts": standing}
        return console.pages.show(visit.request, visit, template, here="overview", **shown)

    @routes.get("", name="overview")
    async def page(visit: Visiting) -> Response:
        return await answer(visit, "overview.html")

    @parts.get("/overview/figures", name="overview.figures")
    async def figures(visit: Visiting) -> Response:
        return await answer(visit, "overview-figures.html")

    return routes, parts
