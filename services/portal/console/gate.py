"""The way to every page: no page without a session, no act without its form's token, nothing that is not recorded.

Routes are made with a route class, so that this holds for each of them and not only for those that remember it.
"""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, TypeAlias
from urllib.parse import quote

import structlog
from fastapi import Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from fastapi.routing import APIRoute

from services.portal import web
from services.portal.console import cookies
from services.portal.console.onward import SIGN_IN, holds_nik, onward, query_holds_nik
from services.portal.console.sessions import Session, Sessions
from services.portal.console.showing import Pages
from services.portal.console.store import record
from services.portal.web import Door
from shared.errors import SalurError, Trouble
from shared.officers import MayNot, Officer
from shared.runtime.failures import is_trouble

log = structlog.get_logger()

ABOUT_MAX: Final = 200
FORM_BYTES_MAX: Final = 64_000
FIELDS_MAX: Final = 300
"""Forty members of a family have five fields each."""


class NotFound(SalurError):
    """There is no such thing, or it lies outside the officer's area: nobody is told which."""

    http_status = 404


class FormTooOld(SalurError):
    """The form does not carry this session's token."""

    http_status = 403


class NoNikHere(SalurError):
    """Addresses are kept by browsers and proxies: a NIK in one is looked for by nobody."""

    http_status = 422


@dataclass(slots=True)
class Visit:
    """One request of a signed-in officer. `about` and `outcome` go into the record."""

    session: Session
    request: Request
    about: str | None = None
    outcome: str = "shown"
    form: dict[str, str] = field(default_factory=dict)

    @property
    def officer(self) -> Officer:
        return self.session.officer

    @property
    def is_part(self) -> bool:
        """Whether htmx asks, and only a part of the page is wanted."""
        return self.request.headers.get("hx-request") == "true"


Late: TypeAlias = Callable[[Request, Visit | None, dict[str, str]], Response]
"""What is answered to a form that comes too late; without a visit to somebody who is not signed in any more."""


def _visit(request: Request) -> Visit:
    visit: Visit = request.state.visit
    return visit


Visiting = Annotated[Visit, Depends(_visit)]


@dataclass(slots=True)
class Gate:
    """One a process; `recorded` and `refreshed` make the route classes."""

    sessions: Sessions
    pages: Pages
    door: Door

    def recorded(self, late: Late | None = None) -> type[APIRoute]:
        """For views and acts. A POST needs the form's token; `late` answers one that has another session's, or comes
        after its session."""
        return self._route_class(late, recording=True)

    def refreshed(self) -> type[APIRoute]:
        """For figures that a page fetches anew by itself: neither a view, nor a sign that somebody is there."""
        return self._route_class(None, recording=False)

    def open(self) -> type[APIRoute]:
        """For what is reached without a session."""
        gate = self

        class Open(APIRoute):
            def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
                inner = super().get_route_handler()

                async def handler(request: Request) -> Response:
                    return await gate.answered(request, lambda: inner(request))

                return handler

        return Open

    def _route_class(self, late: Late | None, *, recording: bool) -> type[APIRoute]:
        gate = self

        class Guarded(APIRoute):
            def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
                inner, action = super().get_route_handler(), self.name

                async def handler(request: Request) -> Response:
                    return await gate.through(request, inner, action if recording else None, late)

                return handler

        return Guarded

    async def through(
        self,
        request: Request,
        inner: Callable[[Request], Coroutine[Any, Any, Response]],
        action: str | None,
        late: Late | None = None,
    ) -> Response:
        """The answer, after it was recorded. Where the record cannot be written there is none but that this failed."""
        return await self.answered(request, lambda: self._through(request, inner, action, late))

    async def answered(self, request: Request, answer: Callable[[], Coroutine[Any, Any, Response]]) -> Response:
        """What is refused or fails outside of a page is told in words too, a database that is away among it."""
        try:
            return await answer()
        except SalurError as error:
            refused = error
        except Exception as error:
            if is_trouble(error):
                log.warning("the console could not answer", error=type(error).__name__)
            else:
                log.error("the console failed", exc_info=error)
            refused = Trouble("this page failed")
        return self.pages.refusal(request, getattr(request.state, "visit", None), refused)

    async def _through(
        self,
        request: Request,
        inner: Callable[[Request], Coroutine[Any, Any, Response]],
        action: str | None,
        late: Late | None,
    ) -> Response:
        try:
            session = await self.sessions.of(request.cookies.get(cookies.COOKIE), seen=action is not None)
        except Exception:
            if given := await _given_back(request, late):
                return given
            raise
        if session is None:
            return await _given_back(request, late) or _to_sign_in(request)
        visit = request.state.visit = Visit(session, request)
        try:
            if request.method == "POST":
                visit.outcome = "done"
                visit.form = await form_of(request)
            if "%00" in request.url.query or any("\0" in value for value in visit.form.values()):
                raise NotFound("no text holds that character")
            if query_holds_nik(request.url.query):
                raise NoNikHere("a NIK does not stand in an address", hint="look for it on the page of recipients")
            if request.method == "POST" and not cookies.is_form_token(session.cookie, visit.form.get("form", "")):
                if late is None:
                    raise FormTooOld("the form is not of this session", hint="open the page again")
                visit.outcome, response = "refused", late(request, visit, visit.form)
            else:
                response = await inner(request)
        except RequestValidationError:
            response = self._refused(visit, NotFound("there is no such page"))
        except SalurError as error:
            response = self._refused(visit, error)
        except Exception as error:
            log.error("a page of the console failed", action=action, exc_info=error)
            response = self._refused(visit, Trouble("this page failed"))
        if action is not None:
            pool, address = self.sessions.pool, self.door.address(request)
            about = _plain(visit.about)
            await record.write(pool, visit.officer, address, action, about, visit.outcome)
        return response

    def _refused(self, visit: Visit, error: SalurError) -> Response:
        kinds = {404: "missing", 401: "refused", 403: "refused"}
        visit.outcome = kinds.get(error.http_status, "refused" if error.http_status < 500 else "failed")
        return self.pages.refusal(visit.request, visit, error, code=getattr(error, "code", None))


def need_centre(officer: Officer) -> None:
    """Raises MayNot: what may be anybody's is the centre's alone."""
    if officer.area:
        raise MayNot("this is the centre's alone")


def _plain(about: str | None) -> str | None:
    """What an officer typed may stand in the record, and break none of its lines; a NIK may not."""
    if not about or holds_nik(about):
        return None
    return "".join(character for character in about if character.isprintable())[:ABOUT_MAX]


async def _given_back(request: Request, late: Late | None) -> Response | None:
    """Of a form that outlived its session, or cannot be asked about it. Only where it belongs to the browser's cookie,
    so that no other site's does; what it answers holds nothing but what came with it."""
    held = request.cookies.get(cookies.COOKIE)
    if late is None or request.method != "POST" or not held:
        return None
    form = await form_of(request)
    return late(request, None, form) if cookies.is_form_token(held, form.get("form", "")) else None


def _to_sign_in(request: Request) -> Response:
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    address = f"{SIGN_IN}?onward={quote(onward(here if request.method == 'GET' else None), safe='')}"
    if request.headers.get("hx-request") == "true":
        return Response(status_code=204, headers={"HX-Redirect": address})
    return RedirectResponse(address, 303)


async def form_of(request: Request) -> dict[str, str]:
    """A form's fields. Raises FormTooLarge.

    Whoever calls knows already that there is a session: a stranger's body is not read at all.
    """
    return await web.form_of(request, bytes_max=FORM_BYTES_MAX, fields_max=FIELDS_MAX)
