"""Registering a person by hand, what became of it, and the registrations that were rejected."""

import secrets
from typing import Annotated, Final
from urllib.parse import quote

from fastapi import APIRouter, Path, Response

from services.portal.console import places, registration
from services.portal.console.acts import Refused
from services.portal.console.context import PAGE, Console, after, cursor
from services.portal.console.gate import Visit, Visiting
from services.portal.console.store import rejections, submissions
from services.portal.console.store.area import bounds

FormId = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{16,64}$")]
_RETURNED: Final = frozenset({"IdReused", "Invalid", "NotASubmission", "BodyTooLarge"})
"""Refusals of the registry after which the officer can mend the form."""


def make_routers(console: Console) -> tuple[APIRouter, ...]:
    routes = console.router()
    parts = APIRouter(prefix="/console", route_class=console.gate.refreshed(), include_in_schema=False)
    pages, pool = console.pages, console.pool

    def form_page(visit: Visit, given: dict[str, str], wrong: list[str], refused: str | None = None) -> Response:
        area = visit.officer.area
        return pages.show(
            visit.request,
            visit,
            "register.html",
            status=422 if wrong or refused else 200,
            here="register",
            given=given,
            wrong=wrong,
            refused=refused,
            members=registration.MEMBERS,
            villages=[village for village in places.villages() if village.code.startswith(area)],
        )

    @routes.get("/registrations/new", name="registration.form")
    async def form(visit: Visiting) -> Response:
        visit.officer.need("enter")
        return form_page(visit, {"id": secrets.token_urlsafe(18)}, [])

    @routes.post("/registrations/new", name="registration.submit")
    async def submit(visit: Visiting) -> Response:
        """The form's id makes the submission: sent twice, it is one."""
        visit.officer.need("enter")
        given = visit.form
        told, missing = registration.fields(given)
        if missing:
            visit.outcome = "refused"
            return form_page(visit, given, missing)
        try:
            answer = await console.acts.register(visit.session, {"id": given.get("id", ""), **told})
        except Refused as error:
            if error.code not in _RETURNED:
                raise
            visit.outcome = "refused"
            return form_page(visit, given, [], error.code)
        visit.about = str(answer["id"])
        return pages.to(f"/console/registrations/{quote(given['id'])}")

    async def standing(form_id: str, visit: Visit, template: str) -> Response:
        visit.officer.need("enter")
        visit.about = submission_id = f"{submissions.own(visit.officer.subject)}{form_id}"
        row = await submissions.answer(pool, submission_id)
        seen = row is not None and row["village"] is not None and visit.officer.covers(row["village"])
        return pages.show(
            visit.request, visit, template, here="register", form_id=form_id, answer=row, may_see_recipient=seen
        )

    @routes.get("/registrations/{form_id}", name="registration")
    async def page(form_id: FormId, visit: Visiting) -> Response:
        return await standing(form_id, visit, "registration.html")

    @parts.get("/registrations/{form_id}/answer", name="registration.answer")
    async def answer(form_id: FormId, visit: Visiting) -> Response:
        return await standing(form_id, visit, "registration-answer.html")

    @routes.get("/rejections", name="rejections")
    async def rejected(visit: Visiting, operator: str = "", code: str = "", go_on: str = "") -> Response:
        visit.officer.need("read", "enter")
        wanted = rejections.Filter(
            bounds(visit.officer.area), submissions.own(visit.officer.subject), operator or None, code or None
        )
        start = after(go_on, 1)
        rows = await rejections.page(pool, wanted, start, PAGE + 1)
        counts = [] if visit.is_part else await rejections.counts(pool, wanted)
        last = rows[PAGE - 1] if len(rows) > PAGE else None
        return pages.show(
            visit.request,
            visit,
            "rejections-rows.html" if visit.is_part else "rejections.html",
            here="rejections",
            rows=rows[:PAGE],
            counts=counts,
            operator=operator,
            code=code,
            begun=start is not None,
            next=cursor(last["at"], last["event_id"]) if last else None,
        )

    return routes, parts
