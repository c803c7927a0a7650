"""The record of views and acts, for the role `audit`: that of officers within the auditor's area.

What to look for is posted first, and stands in an address only once it is seen to hold no NIK.
"""

from fastapi import APIRouter, Response

from services.portal.console.context import PAGE, Console
from services.portal.console.gate import NoNikHere, Visiting
from services.portal.console.onward import holds_nik
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

    @routes.post("/record", name="record.filter")
    async def filtered(visit: Visiting) -> Response:
        visit.officer.need("audit")
        asked = {name: visit.form.get(name, "").strip() for name in ("subject", "action", "about")}
        if any(map(holds_nik, asked.values())):
            raise NoNikHere("the record holds no NIK", hint="look for the person on the page of recipients")
        return console.pages.to("/console/record", **{name: text for name, text in asked.items() if text})

    return (routes,)
