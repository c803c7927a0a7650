"""Signing in with the officers' issuer, and out; and what needs no session: style, script, language."""

import secrets
from datetime import timedelta
from typing import Final
from urllib.parse import parse_qs, urlencode

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse, RedirectResponse

from services.portal.addresses import networks
from services.portal.console import cookies
from services.portal.console.context import Console
from services.portal.console.gate import FormTooOld, form_of
from services.portal.console.oidc import Issuer
from services.portal.console.onward import HOME, SIGN_IN, onward
from services.portal.console.sessions import Sessions
from services.portal.console.showing import STATIC
from services.portal.console.store import record, sessions
from services.portal.console.wording import LANGUAGES
from shared.clock import now
from shared.errors import SalurError
from shared.officers import NotSignedIn

SIGN_IN_LIFE: Final = timedelta(minutes=10)
SIGN_INS_MAX: Final = 200
"""So many may be under way from one network: an office has one address, and nobody fills the table."""
_YEAR_S: Final = 365 * 24 * 3600
_DAY_S: Final = 24 * 3600


class TooManySignIns(SalurError):
    """So many sign-ins were begun from this network and not finished."""

    http_status = 429


def make_router(console: Console, living: Sessions, issuer: Issuer) -> APIRouter:
    """What is reached without a session; what it does about officers is recorded here."""
    routes = APIRouter(prefix="/console", route_class=console.gate.open(), include_in_schema=False)
    pages, pool = console.pages, console.pool

    def cookie(response: Response, name: str, value: str, path: str = HOME, **options: int | None) -> None:
        response.set_cookie(name, value, path=path, httponly=True, samesite="lax", secure=pages.secure, **options)  # type: ignore[arg-type]

    @routes.get("/sign-in")
    async def sign_in(request: Request, onward: str = HOME) -> Response:
        return pages.show(request, None, "sign-in.html", onward=_onward(onward), reason=None)

    @routes.get("/sign-in/go")
    async def go(request: Request, onward: str = HOME) -> Response:
        state, nonce, verifier = (secrets.token_urlsafe(48) for _ in range(3))
        at, begun = now(), sessions.Begun(cookies.stored(state), nonce, verifier, _onward(onward))
        network = networks(console.gate.door.address(request)).wide
        address = await issuer.authorization_url(state=state, nonce=nonce, verifier=verifier)
        if not await sessions.begin_sign_in(pool, begun, network, SIGN_INS_MAX, at, oldest=at - SIGN_IN_LIFE):
            raise TooManySignIns("too many sign-ins were begun from this network", hint="wait ten minutes")
        response = RedirectResponse(address, 303, headers=dict(pages.headers()))
        cookie(response, cookies.SIGN_IN_COOKIE, state, max_age=int(SIGN_IN_LIFE.total_seconds()))
        return response

    @routes.get("/signed-in")
    async def signed_in(request: Request, state: str = "", code: str = "") -> Response:
        """The issuer sends the officer's browser here. The state must be that of this very browser."""
        held = request.cookies.get(cookies.SIGN_IN_COOKIE, "")
        mine = secrets.compare_digest(held.encode(), state.encode()) and bool(held)
        begun = await sessions.finish_sign_in(pool, cookies.stored(state), now() - SIGN_IN_LIFE) if mine else None
        if begun is None or not code:
            raise NotSignedIn("this sign-in was not begun here, or too long ago", hint="sign in again")
        officer, tokens = await issuer.redeem(code=code, nonce=begun["nonce"], verifier=begun["verifier"])
        if old := request.cookies.get(cookies.COOKIE):
            await living.end(old)
        session_cookie = await living.open(officer, tokens)
        await record.write(pool, officer, console.gate.door.address(request), "sign-in", None, "done")
        response = pages.to(begun["onward"])
        cookie(response, cookies.COOKIE, session_cookie)
        response.delete_cookie(cookies.SIGN_IN_COOKIE, path=HOME)
        return response

    @routes.post("/sign-out")
    async def sign_out(request: Request) -> Response:
        """Needs no word of the issuer: a computer that many use is left in any case."""
        held = request.cookies.get(cookies.COOKIE, "")
        officer = await living.whose(held)
        if officer:
            if not cookies.is_form_token(held, (await form_of(request)).get("form", "")):
                raise FormTooOld("the form is not of this session")
            await living.end(held)
            await record.write(pool, officer, console.gate.door.address(request), "sign-out", None, "done")
        response = pages.to(await issuer.end_url(f"{issuer.settings.portal_url}{HOME}/sign-in"))
        if held:  # another site's form comes without it, and signs nobody out
            response.delete_cookie(cookies.COOKIE, path=HOME)
        return response

    @routes.get("/awake")
    async def awake(request: Request) -> Response:
        """Somebody types into a long form: a sign of life, as a page is. It tells nothing, also where that is over."""
        await living.of(request.cookies.get(cookies.COOKIE))
        return Response(status_code=204, headers=dict(pages.headers()))

    @routes.get("/language/{language}")
    async def language(language: str, onward: str = HOME) -> Response:
        response = pages.to(_onward(onward, to_sign_in=True))
        if language in LANGUAGES:
            cookie(response, cookies.LANGUAGE_COOKIE, language, max_age=_YEAR_S)
        return response

    @routes.get("/static/{name}")
    async def static(request: Request, name: str) -> Response:
        if name not in STATIC:
            return Response(status_code=404)
        return FileResponse(STATIC[name], headers={"cache-control": f"max-age={_DAY_S}"})

    return routes


def _onward(text: str, *, to_sign_in: bool = False) -> str:
    if to_sign_in and text.partition("?")[0] == SIGN_IN:
        asked = parse_qs(text.partition("?")[2]).get("onward", [HOME])
        return f"{SIGN_IN}?{urlencode({'onward': onward(asked[0])})}"
    return onward(text)
