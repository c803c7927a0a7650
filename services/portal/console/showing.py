"""Pages from templates, with the headers that every answer of the console has."""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import jinja2
import orjson
from fastapi import Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from services.portal.console import bars, cookies, places
from services.portal.console.onward import HOME, holds_nik, query_holds_nik
from services.portal.console.wording import LANGUAGES, Words, texts
from services.portal.regions import name_of
from shared.errors import SalurError
from shared.words import Language

_HERE: Final = Path(__file__).parent
STATIC: Final = {path.name: path for path in sorted((_HERE / "static").iterdir()) if path.suffix in (".css", ".js")}
_VERSION: Final = sha256(b"".join(path.read_bytes() for path in STATIC.values())).hexdigest()[:12]
"""Stands behind the addresses of style and script, so that browsers keep them until they change."""

PAGES: Final[tuple[tuple[str, str, tuple[str, ...]], ...]] = (
    ("overview", "/console", ()),
    ("recipients", "/console/recipients", ("read", "enter")),
    ("register", "/console/registrations/new", ("enter",)),
    ("rejections", "/console/rejections", ("read", "enter")),
    ("cycles", "/console/cycles", ("read", "enter", "approve", "audit")),
    ("failures", "/console/payouts/failed", ("read",)),
    ("letters", "/console/dead-letters", ("centre",)),
    ("alerts", "/console/alerts", ()),
    ("record", "/console/record", ("audit",)),
)
"""Of the navigation: name, address, and the roles that see it; `centre`: only officers of the centre."""


class Pages:
    """One a process."""

    def __init__(self, *, issuer: str | None, secure: bool) -> None:
        self.secure = secure
        # Signing out is a form whose answer leads to the issuer; browsers hold `form-action` against that too.
        actions = f"'self' {issuer}" if issuer else "'self'"
        self._headers = {
            "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
            f"connect-src 'self'; form-action {actions}; base-uri 'none'; frame-ancestors 'none'",
            "cache-control": "no-store",
            "referrer-policy": "same-origin",
            "x-content-type-options": "nosniff",
            "x-frame-options": "DENY",
            "permissions-policy": "camera=(), geolocation=(), microphone=()",
        }
        if secure:
            self._headers["strict-transport-security"] = "max-age=31536000"
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=jinja2.StrictUndefined,
        )
        shown = {"place": name_of, "full_place": places.full_name, "bar": bars.bar}
        self._templates.globals |= {**shown, "version": _VERSION, "json": orjson.loads}

    def language(self, request: Request) -> Language:
        chosen = request.cookies.get(cookies.LANGUAGE_COOKIE)
        return next((language for language in LANGUAGES if language == chosen), "id")

    def show(
        self, request: Request, visit: Any, template: str, *, status: int = 200, here: str = "", **values: Any
    ) -> Response:
        """`here`: which page of the navigation this is; `visit`: None for somebody who is not signed in."""
        words = Words(self.language(request))
        page = self._templates.get_template(template).render(
            words=words,
            t=words.t,
            visit=visit,
            officer=visit.officer if visit else None,
            form_token=visit.session.form_token if visit else "",
            navigation=_navigation(visit),
            here=here,
            asked=_asked(request),
            query=_query,
            **values,
        )
        return HTMLResponse(page, status, headers=self._headers)

    def refusal(self, request: Request, visit: Any, error: SalurError, *, code: str | None = None) -> Response:
        """What an error says to an officer: in both languages where there are words for it, and what to do."""
        found = code or type(error).__name__
        known = found if f"refused.{found}" in texts() else "Other"
        return self.show(
            request,
            visit,
            "refusal.html",
            status=error.http_status,
            heading=f"refused.{known}",
            advice=f"advice.{known}" if f"advice.{known}" in texts() else None,
            home=found == "NoSuchPage",
            words_of_service=error.message if known == "Other" else None,
        )

    def to(self, address: str, **query: str) -> Response:
        """After a form: to a page that may be loaded again."""
        return RedirectResponse(address + (f"?{urlencode(query)}" if query else ""), 303, headers=self._headers)

    def headers(self) -> Mapping[str, str]:
        return self._headers


def _asked(request: Request) -> str | None:
    """The page to have in the other language. None for an answer to a form, which no address brings back: it may hold
    what is shown once, or what was typed."""
    if request.method != "GET":
        return None
    path, query = request.url.path, request.url.query
    if holds_nik(path) or query_holds_nik(query):
        return HOME
    return path + (f"?{query}" if query else "")


def _navigation(visit: Any) -> list[tuple[str, str]]:
    if visit is None:
        return []
    officer = visit.officer
    return [
        (name, address)
        for name, address, roles in PAGES
        if not roles or officer.has(*roles) or (roles == ("centre",) and not officer.area and officer.roles)
    ]


def _query(**values: str | None) -> str:
    """`?a=b` of what is given."""
    given = {name: value for name, value in values.items() if value}
    return f"?{urlencode(given)}" if given else ""
