"""The record of views and acts, for the role `audit`: that of officers within the auditor's area."""

from fastapi import APIRouter, Response

from services.portal.console.context import PAGE, Console
from services.portal.console.gate import Visiting
from services.portal.console.store import record
from services.portal.console.store.area import bounds

_NEWEST = 2**62


def make_routers(console: Console) -> tuple[APIRouter, ...]:
    routes = console.router()

    @routes.get("/record", name="record")
    async def listed(
        visit: Visiting, subject: str = "", action: str = "", about: str = "", go_on: str = ""
    ) -> Response:
        visit.officer.need("audit")
        before = int(go_on) if go_on.isascii() and go_on.isdigit() and len(go_on) < 19 else _NEWEST
        rows = await record.page(
            console.pool,
            bounds(visit.officer.area),
            subject=subject.strip() or None,
            action=action or None,
            about=about.strip() or None,
            before=before,
            limit=PAGE + 1,
        )
        return console.pages.show(
            visit.request,
            visit,
            "record-rows.html" if visit.is_part else "record.html",
            here="record",
            rows=rows[:PAGE],
            subject=subject,
            action=action,
            about=about,
            begun=before != _NEWEST,
            next=str(rows[PAGE - 1]["id"]) if len(rows) > PAGE else None,
        )

    return (routes,)
