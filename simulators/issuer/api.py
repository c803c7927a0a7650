"""The issuer's HTTP endpoints: OpenID Connect's discovery, keys, authorization code with PKCE, token, end of session.

Whoever opens the authorization page may be any officer of the list: this is for trying out, never for a real system.
"""

import base64
import hmac
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlencode, urlsplit

import jinja2
from aiohttp import web

from simulators.issuer.keys import ALGORITHM, signing_key
from simulators.issuer.people import Officer
from simulators.issuer.tokens import Asked, Tokens

_pages = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "pages"),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ASKED = ("redirect_uri", "state", "nonce", "code_challenge")


@dataclass(frozen=True, slots=True)
class Settings:
    """See the options in `__main__`. Times in seconds."""

    data: Path
    issuer: str | None
    client_id: str
    client_secret: str
    redirects: frozenset[str]
    audience: str
    officers: dict[str, Officer]
    access_s: int
    refresh_s: int


class Issuer:
    """The handlers, with what they share."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._key = signing_key(settings.data)
        self._tokens: Tokens | None = None

    def tokens(self, request: web.Request) -> Tokens:
        """Its own address is the first one it is called by, where no option states it."""
        if self._tokens is None:
            own, settings = self._settings.issuer or _base(request), self._settings
            self._tokens = Tokens(
                own, settings.client_id, settings.audience, self._key, settings.access_s, settings.refresh_s
            )
        return self._tokens

    async def discovery(self, request: web.Request) -> web.Response:
        """Browsers are sent to the issuer's public address; programs call back the address that they called."""
        public, called = self.tokens(request).issuer, _base(request)
        return web.json_response(
            {
                "issuer": public,
                "authorization_endpoint": f"{public}/authorize",
                "end_session_endpoint": f"{public}/end-session",
                "token_endpoint": f"{called}/token",
                "jwks_uri": f"{called}/jwks",
                "response_types_supported": ["code"],
                "grant_types_supported": ["authorization_code", "refresh_token"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": [ALGORITHM],
                "code_challenge_methods_supported": ["S256"],
                "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
                "scopes_supported": ["openid", "profile"],
                "claims_supported": ["sub", "name", "salur_roles", "salur_area"],
            }
        )

    async def jwks(self, _: web.Request) -> web.Response:
        return web.json_response({"keys": [self._key.as_dict(private=False)]})

    async def choose(self, request: web.Request) -> web.Response:
        """The page on which one picks an officer."""
        asked = self._asked(request.query)
        officers = list(self._settings.officers.values())
        page = _pages.get_template("choose.html").render(
            officers=officers,
            asked={name: getattr(asked, name) for name in _ASKED},
            client_id=request.query["client_id"],
        )
        return web.Response(text=page, content_type="text/html", headers=_HEADERS)

    async def signed_in(self, request: web.Request) -> web.Response:
        """The officer was picked: back to the program with a code."""
        form = await request.post()
        asked = self._asked(form)
        officer = self._settings.officers.get(str(form.get("subject")))
        if officer is None:
            raise web.HTTPBadRequest(text="there is no such officer")
        answer = {"code": self.tokens(request).code(officer, asked), "state": asked.state}
        glue = "&" if urlsplit(asked.redirect_uri).query else "?"
        raise web.HTTPSeeOther(f"{asked.redirect_uri}{glue}{urlencode({**answer, 'iss': self.tokens(request).issuer})}")

    async def token(self, request: web.Request) -> web.Response:
        form, tokens = await request.post(), self.tokens(request)
        if not self._is_client(request, form):
            return _refused("invalid_client", 401)
        if form.get("grant_type") == "authorization_code":
            given = (str(form.get(name, "")) for name in ("code", "redirect_uri", "code_verifier"))
            redeemed = tokens.redeem(*given)
            if redeemed is None:
                return _refused("invalid_grant")
            subject, nonce, signed_in_at = *redeemed, int(time.time())
            return _fresh(tokens.of(self._settings.officers[subject], nonce=nonce, signed_in_at=signed_in_at))
        if form.get("grant_type") == "refresh_token":
            held = tokens.read_refresh(str(form.get("refresh_token", "")))
            officer = self._settings.officers.get(held[0]) if held else None
            if held is None or officer is None:
                return _refused("invalid_grant")
            return _fresh(tokens.of(officer, nonce=None, signed_in_at=held[1]))
        return _refused("unsupported_grant_type")

    async def end_session(self, request: web.Request) -> web.Response:
        """Nothing is remembered here about who signed in, so there is nothing to end: back to the program."""
        back = request.query.get("post_logout_redirect_uri", "")
        if any(back.startswith(_origin(known) + "/") for known in self._settings.redirects):
            raise web.HTTPSeeOther(back)
        return web.Response(text="You are signed out.")

    def _asked(self, given: Any) -> Asked:
        """Raises HTTPBadRequest and never redirects to an address that is not on the list."""
        settings = self._settings
        if given.get("client_id") != settings.client_id or given.get("redirect_uri") not in settings.redirects:
            raise web.HTTPBadRequest(text="this program, or the address to send officers back to, is not known here")
        if (given.get("response_type"), given.get("code_challenge_method")) != ("code", "S256"):
            raise web.HTTPBadRequest(text="only the authorization code with PKCE (S256) is given here")
        if missing := [name for name in _ASKED if not given.get(name)]:
            raise web.HTTPBadRequest(text=f"missing: {', '.join(missing)}")
        return Asked(*(str(given[name]) for name in _ASKED))

    def _is_client(self, request: web.Request, form: Any) -> bool:
        named, secret = str(form.get("client_id", "")), str(form.get("client_secret", ""))
        scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic":
            try:
                pair = base64.b64decode(encoded, validate=True).decode().partition(":")
            except ValueError:
                return False
            named, secret = unquote(pair[0]), unquote(pair[2])
        right = hmac.compare_digest(secret.encode(), self._settings.client_secret.encode())
        return right and named == self._settings.client_id


_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'",
    "cache-control": "no-store",
}


def make_app(settings: Settings) -> web.Application:
    """The application; its signing key lies in the data folder."""
    issuer = Issuer(settings)

    async def health(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "officers": len(settings.officers)})

    app = web.Application(client_max_size=64 * 1024)
    app.router.add_get("/health", health)
    app.router.add_get("/.well-known/openid-configuration", issuer.discovery)
    app.router.add_get("/jwks", issuer.jwks)
    app.router.add_get("/authorize", issuer.choose)
    app.router.add_post("/authorize", issuer.signed_in)
    app.router.add_post("/token", issuer.token)
    app.router.add_get("/end-session", issuer.end_session)
    return app


def _base(request: web.Request) -> str:
    return f"{request.scheme}://{request.host}"


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _fresh(answer: dict[str, Any]) -> web.Response:
    return web.json_response(answer, headers={"cache-control": "no-store"})


def _refused(error: str, status: int = 400) -> web.Response:
    return web.json_response({"error": error}, status=status, headers={"cache-control": "no-store"})
