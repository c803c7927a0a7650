"""Dead letters with replay: for officers of the centre, as they may be anybody's."""

from typing import Annotated

from fastapi import APIRouter, Path, Response

from services.portal.console.context import PAGE, Console, after, cursor
from services.portal.console.gate import NotFound, Visiting, need_centre
from services.portal.console.store import letters, overview, record
from services.portal.console.store.area import bounds

LetterId = Annotated[str, Path(pattern=r"^[\x21-\x7e]{1,200}$")]


def make_routers(console: Console) -> tuple[APIRouter, ...]:
    routes = console.router()
    pages, pool = console.pages, console.pool

    @routes.get("/dead-letters", name="letters")
    async def listed(visit: Visiting, service: str = "", go_on: str = "") -> Response:
        visit.officer.need("read", "approve", "audit")
        need_centre(visit.officer)
        start = after(go_on, 1)
        rows = await letters.page(pool, service=service or None, after=start, limit=PAGE + 1)
        shown, last = rows[:PAGE], rows[PAGE - 1] if len(rows) > PAGE else None
        totals = await overview.totals(pool, bounds(""))
        return pages.show(
            visit.request,
            visit,
            "letters-rows.html" if visit.is_part else "letters.html",
            here="letters",
            rows=shown,
            back=await record.replayed(pool, [row["event_id"] for row in shown]),
            services=sorted((row["name"], row["rows"]) for row in totals if row["what"] == "dead_letter"),
            service=service,
            begun=start is not None,
            next=cursor(last["at"], last["event_id"]) if last else None,
            may_replay=visit.officer.has("approve", "audit"),
        )

    @routes.post("/dead-letters/{letter_id}/replay", name="letter.replay")
    async def replay(letter_id: LetterId, visit: Visiting) -> Response:
        visit.officer.need("approve", "audit")
        need_centre(visit.officer)
        visit.about = letter_id
        letter = await letters.letter(pool, letter_id)
        if letter is None:
            raise NotFound("there is no such dead letter")
        place = (letter["partition"], letter["sequence"]) if letter["sequence"] is not None else None
        told = await console.acts.replay(visit.session, letter["service"], letter_id, place)
        if told["state"] not in ("replayed", "already"):
            visit.outcome = "refused"
        return pages.to("/console/dead-letters", done=told["state"])

    return (routes,)
