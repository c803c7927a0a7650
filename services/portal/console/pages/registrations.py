"""Registering a person by hand, what became of it, and the registrations that were rejected."""

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from typing import Annotated, Final
from urllib.parse import quote

import asyncpg
import orjson
from fastapi import APIRouter, Path, Request, Response

from services.portal.console import places, registration
from services.portal.console.acts import Refused, ServiceAway
from services.portal.console.context import PAGE, Console, after, cursor
from services.portal.console.gate import FormTooOld, Visit, Visiting
from services.portal.console.store import rejections, submissions
from services.portal.console.store.area import bounds
from shared.errors import SalurError

FormId = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{16,64}$")]
TOLD_WITHIN_S: Final = 5.0
"""So long a form waits for the registry's answer, to come back with what was typed if it is a no."""


def make_routers(console: Console) -> tuple[APIRouter, ...]:
    parts = APIRouter(prefix="/console", route_class=console.gate.refreshed(), include_in_schema=False)
    pages, pool = console.pages, console.pool

    def form_page(
        visit: Visit,
        given: Mapping[str, str],
        wrong: Sequence[str] = (),
        *,
        status: int = 422,
        refused: SalurError | None = None,
        problems: Sequence[Mapping[str, str]] = (),
    ) -> Response:
        """The form as it was filled in. `problems`: those for which the registry rejected it."""
        area = visit.officer.area
        named = [(registration.name_on_form(problem["field"], given), problem) for problem in problems]
        return pages.show(
            visit.request,
            visit,
            "register.html",
            status=status,
            here="register",
            given=given,
            wrong=[*wrong, *(name for name, _ in named)],
            missing=wrong,
            refused=refused,
            code=getattr(refused, "code", type(refused).__name__),
            problems=named,
            members=registration.lines(given),
            members_max=registration.MEMBERS_MAX,
            villages=[village for village in places.villages() if village.code.startswith(area)],
        )

    def late(request: Request, visit: Visit | None, form: dict[str, str]) -> Response:
        if visit is None:
            return pages.show(request, None, "register-late.html", status=401, given=form)
        too_old = FormTooOld("the form is not of this session")
        if not visit.officer.has("enter"):
            raise too_old
        return form_page(visit, form, status=too_old.http_status, refused=too_old)

    routes = console.router(late)

    @routes.get("/registrations/new", name="registration.form")
    async def form(visit: Visiting) -> Response:
        visit.officer.need("enter")
        return form_page(visit, {"id": _new_id()}, status=200)

    @routes.post("/registrations/new", name="registration.submit")
    async def submit(visit: Visiting) -> Response:
        """The form's id makes the submission: sent twice, it is one. What is not taken comes back as it was typed, with
        another id where this one stands for something else by now."""
        visit.officer.need("enter")
        given = visit.form
        if given.get("more"):
            visit.outcome = "shown"
            return form_page(visit, given, status=200)
        told, wrong = registration.fields(given)
        if wrong:
            visit.outcome = "refused"
            return form_page(visit, given, wrong)
        try:
            answer = await console.acts.register(visit.session, {"id": given.get("id", ""), **told})
        except (Refused, ServiceAway) as error:
            visit.outcome = "refused" if error.http_status < 500 else "failed"
            id_ = _new_id() if getattr(error, "code", "") == "IdReused" else given.get("id", "")
            return form_page(visit, {**given, "id": id_}, status=error.http_status, refused=error)
        visit.about = str(answer["id"])
        row = await heard(visit.about)
        if row is not None and row["answer"] == "rejected":
            visit.outcome = "refused"
            return form_page(visit, {**given, "id": _new_id()}, problems=orjson.loads(row["problems"]))
        return pages.to(f"/console/registrations/{quote(given['id'])}")

    async def heard(submission_id: str) -> asyncpg.Record | None:
        """The registry's answer, where it comes within seconds."""
        until = asyncio.get_running_loop().time() + TOLD_WITHIN_S
        while True:
            row = await submissions.answer(pool, submission_id)
            if row is not None or asyncio.get_running_loop().time() >= until:
                return row
            await asyncio.sleep(0.2)

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


def _new_id() -> str:
    return secrets.token_urlsafe(18)
