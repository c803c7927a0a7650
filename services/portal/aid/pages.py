"""The pages of `My aid`: `/`, `/code`, `/aid`, and the same under `/en`. They need no script.

Whoever sends a NIK with its date of birth gets the same page after the same work, known or not.
"""

import re
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import asyncpg
import structlog
from fastapi import APIRouter, Request
from fastapi.responses import Response

from services.portal import web
from services.portal.aid.desk import CODE_LIVES, SESSION_LIVES, Desk
from services.portal.aid.view import shown
from services.portal.domain.identity import Refused, read
from services.portal.lookup import Lookup
from services.portal.texts import Catalogue, words
from services.portal.web import LANGUAGES, Door, FormTooLarge, page, to
from shared.runtime.failures import is_trouble
from shared.words import WITA, Language

log = structlog.get_logger()

FORM_BYTES_MAX: Final = 2_000
FIELDS_MAX: Final = 20
FORM_COOKIE: Final = "salur_form"
CODE_COOKIE: Final = "salur_code"
AID_COOKIE: Final = "salur_aid"
_NOTHING: Final = Refused(None, None)
_FORM_S: Final = 3600
_TOKEN: Final = re.compile(r"[0-9a-f]{32}")
_HTTPS_ONLY: Final = "max-age=31536000"

Answer = Callable[[Request, Language], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Pages:
    """What the pages are made from."""

    desk: Desk
    lookup: Lookup
    names: Catalogue
    door: Door
    reading: asyncpg.Pool

    async def ask(self, request: Request, language: Language) -> Response:
        note = request.query_params.get("note")
        return self._ask(request, language, note=note if note in ("left", "ended") else None)

    async def asked(self, request: Request, language: Language) -> Response:
        form = await _form_of(request)
        if not self._ours(request, form):
            return self._ask(request, language, 400, problem="form_old")
        today = self.desk.now().astimezone(WITA).date()
        typed = {name: form.get(name, "") for name in ("nik", "day", "month", "year")}
        person = read(typed["nik"], typed["day"], typed["month"], typed["year"], today)
        if isinstance(person, Refused):
            return self._ask(request, language, 422, wrong=person, typed=typed)
        nik = person.nik
        asked = await self.desk.ask(self.door.address(request), lambda: self.lookup.recipient_id(nik))
        if asked is None:
            return self._ask(request, language, 429, problem="too_many", typed=typed)
        answer = to(f"{LANGUAGES[language]}/code")
        self.door.give(answer, CODE_COOKIE, asked, seconds=int(CODE_LIVES.total_seconds()))
        return answer

    async def code(self, request: Request, language: Language) -> Response:
        if CODE_COOKIE not in request.cookies:
            return to(LANGUAGES[language] or "/")
        return self._with_form(request, "code", language, problem=None)

    async def entered(self, request: Request, language: Language) -> Response:
        form = await _form_of(request)
        if not self._ours(request, form):
            return self._with_form(request, "code", language, 400, problem="form_old")
        digits = "".join(c for c in form.get("code", "") if c.isascii() and c.isdigit())[:12]
        token = await self.desk.enter(request.cookies.get(CODE_COOKIE, ""), digits)
        if token is None:
            return self._with_form(request, "code", language, 422, problem="code_wrong")
        answer = to(f"{LANGUAGES[language]}/aid")
        self.door.give(answer, AID_COOKIE, token, seconds=int(SESSION_LIVES.total_seconds()))
        self.door.take_back(answer, CODE_COOKIE)
        return answer

    async def aid(self, request: Request, language: Language) -> Response:
        recipient = await self.desk.recipient_of(request.cookies.get(AID_COOKIE, ""))
        if recipient is None:
            return to(_ended(language))
        held = await shown(self.reading, self.desk.keyring, self.names, recipient, words(language), self.desk.now())
        answer = self._with_form(request, "aid", language, leave=f"{LANGUAGES[language]}/leave", **held)
        # No script may run here: the browser itself closes the page, for whoever uses the phone next.
        answer.headers["Refresh"] = f"{int(SESSION_LIVES.total_seconds())}; url={_ended(language)}"
        return answer

    async def leave(self, request: Request, language: Language) -> Response:
        if self._ours(request, await _form_of(request)):
            await self.desk.leave(request.cookies.get(AID_COOKIE, ""))
        answer = to(f"{LANGUAGES[language] or '/'}?note=left")
        self.door.take_back(answer, AID_COOKIE)
        return answer

    def _ask(self, request: Request, language: Language, status: int = 200, **values: Any) -> Response:
        empty = dict.fromkeys(("nik", "day", "month", "year"), "")
        filled = {"note": None, "problem": None, "wrong": _NOTHING, "typed": empty, **values}
        return self._with_form(request, "ask", language, status, **filled)

    def _with_form(self, request: Request, name: str, language: Language, status: int = 200, **values: Any) -> Response:
        """A page with a form that only this browser can send."""
        cookie = request.cookies.get(FORM_COOKIE, "")
        if not _TOKEN.fullmatch(cookie):
            cookie = secrets.token_hex(16)
        answer = page(request, name, language, status, form=self.desk.form_token(cookie), **values)
        self.door.give(answer, FORM_COOKIE, cookie, seconds=_FORM_S)
        return answer

    def _ours(self, request: Request, form: dict[str, str]) -> bool:
        return self.desk.form_token_holds(request.cookies.get(FORM_COOKIE, ""), form.get("form", ""))


def _ended(language: Language) -> str:
    return f"{LANGUAGES[language] or '/'}?note=ended"


async def _form_of(request: Request) -> dict[str, str]:
    """None of the fields where it is larger than any form here: then it lacks its token too."""
    try:
        return await web.form_of(request, bytes_max=FORM_BYTES_MAX, fields_max=FIELDS_MAX)
    except FormTooLarge:
        return {}


def router(pages: Pages) -> APIRouter:
    routes = APIRouter()
    for language, prefix in LANGUAGES.items():
        for method, path, answer in (
            ("GET", prefix or "/", pages.ask),
            ("POST", prefix or "/", pages.asked),
            ("GET", f"{prefix}/code", pages.code),
            ("POST", f"{prefix}/code", pages.entered),
            ("GET", f"{prefix}/aid", pages.aid),
            ("POST", f"{prefix}/leave", pages.leave),
        ):
            routes.add_api_route(
                path, answering(answer, language, secure=pages.door.secure), methods=[method], include_in_schema=False
            )
    return routes


def answering(answer: Answer, language: Language, *, secure: bool = False) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint of one page in one language; while something is away, a page that says so. `secure`: browsers
    come by https only from then on."""

    async def endpoint(request: Request) -> Response:
        try:
            given = await answer(request, language)
        except Exception as error:
            if not is_trouble(error):
                raise
            log.warning("a page could not be answered", path=request.url.path, error=type(error).__name__)
            given = page(request, "message", language, 503, heading="error_title", text="away")
        if secure:
            given.headers["Strict-Transport-Security"] = _HTTPS_ONLY
        return given

    return endpoint
