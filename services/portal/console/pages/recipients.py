"""Finding a recipient and reading the whole story; a code for somebody without a phone.

A NIK comes in a form and never in an address; the look-up process turns it into the recipient's id. Whether nobody has
that NIK or somebody of another area, the officer reads the same words.
"""

import re
from typing import Annotated, Final

import asyncpg
from fastapi import APIRouter, Path, Response

from services.portal.console.context import Console
from services.portal.console.gate import NotFound, Visit, Visiting
from services.portal.console.store import recipients
from services.portal.console.store.area import bounds

_ID: Final = re.compile(r"r-[0-9a-f]{32}").fullmatch
_NIK: Final = re.compile(r"[0-9]{16}").fullmatch
RecipientId = Annotated[str, Path(pattern=r"^r-[0-9a-f]{32}$")]


def make_routers(console: Console) -> tuple[APIRouter, ...]:
    routes = console.router()
    pages, pool = console.pages, console.pool

    async def known(visit: Visit, recipient_id: str) -> asyncpg.Record:
        """Raises NotFound."""
        visit.about = recipient_id
        row = await recipients.recipient(pool, recipient_id, bounds(visit.officer.area))
        if row is None:
            raise NotFound("there is no such recipient here")
        return row

    @routes.get("/recipients", name="recipient.search-form")
    async def form(visit: Visiting) -> Response:
        visit.officer.need("read", "enter")
        return pages.show(visit.request, visit, "recipients.html", here="recipients", wrong=None)

    @routes.post("/recipients", name="recipient.search")
    async def search(visit: Visiting) -> Response:
        visit.officer.need("read", "enter")
        asked = re.sub(r"[\s.]", "", visit.form.get("asked", ""))
        found = asked if _ID(asked) else None
        if _NIK(asked):
            console.searches.take(visit.officer.subject)
            found = await console.find_nik(asked)
        wrong = None if _ID(asked) or _NIK(asked) else "form"
        if found is not None:
            try:
                await known(visit, found)
                return pages.to(f"/console/recipients/{found}")
            except NotFound:
                visit.about = None  # whom one may not see is not written down as if one had
        visit.outcome = "missing"
        wrong = wrong or "nobody"
        status = 404 if wrong == "nobody" else 422
        return pages.show(visit.request, visit, "recipients.html", status=status, here="recipients", wrong=wrong)

    @routes.get("/recipients/{recipient_id}", name="recipient")
    async def story(recipient_id: RecipientId, visit: Visiting) -> Response:
        visit.officer.need("read", "enter")
        row = await known(visit, recipient_id)
        return pages.show(
            visit.request,
            visit,
            "recipient.html",
            here="recipients",
            recipient=row,
            decisions=await recipients.decisions(pool, recipient_id),
            payouts=await recipients.payouts(pool, recipient_id),
            messages=await recipients.messages(pool, recipient_id),
            story=await recipients.story(pool, recipient_id),
        )

    @routes.post("/recipients/{recipient_id}/code", name="recipient.code")
    async def code(recipient_id: RecipientId, visit: Visiting) -> Response:
        """Shown once, to be handed to the person who stands there with the identity card."""
        visit.officer.need("enter")
        row = await known(visit, recipient_id)
        if visit.form.get("seen") != "yes":
            visit.outcome = "refused"
            return pages.to(f"/console/recipients/{recipient_id}", code="identity")
        given = await console.issue_code(recipient_id, visit.officer)
        return pages.show(visit.request, visit, "code.html", here="recipients", recipient=row, code=given)

    return (routes,)
