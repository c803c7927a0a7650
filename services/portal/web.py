"""What every page has in common: its look, its headers, and what is read from a request."""

import base64
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl

import jinja2
from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from markupsafe import Markup

from services.portal.metrics import PAGES
from services.portal.texts import words
from shared.errors import SalurError
from shared.runtime.http import body_up_to
from shared.words import Language

LANGUAGES: Final[Mapping[Language, str]] = {"id": "", "en": "/en"}
"""Each language's prefix of addresses: Indonesian is the first."""


class Door(NamedTuple):
    """How the portal is reached. `proxies`: how many stand in front of it and add to `X-Forwarded-For`."""

    secure: bool
    proxies: int = 0

    def address(self, request: Request) -> str:
        """The caller's, as the outermost proxy of ours saw it. Headers are counted from their end, over all lines of
        them: what stands further in front anybody may have written."""
        if self.proxies:
            hops = [hop.strip() for hop in ",".join(request.headers.getlist("x-forwarded-for")).split(",")]
            hops = [hop for hop in hops if hop]
            if len(hops) >= self.proxies:
                return hops[-self.proxies]
        return request.client.host if request.client else "unknown"

    def give(self, response: Response, name: str, value: str, *, seconds: int) -> None:
        """A cookie that no script and no other site can use."""
        response.set_cookie(
            name, value, max_age=seconds, path="/", httponly=True, samesite="strict", secure=self.secure
        )

    def take_back(self, response: Response, name: str) -> None:
        response.delete_cookie(name, path="/", httponly=True, samesite="strict", secure=self.secure)


def page(
    request: Request,
    name: str,
    language: Language,
    status: int = 200,
    *,
    private: bool = True,
    query: str = "",
    **values: Any,
) -> HTMLResponse:
    """A page of the templates. `private`: nobody keeps a copy, neither a cache nor the browser. `query`: what leads to
    the same page in the other language."""
    prefix = LANGUAGES[language]
    path = request.url.path
    bare = path.removeprefix("/en") or "/" if path == "/en" or path.startswith("/en/") else path
    common = {
        "t": words(language),
        "style": Markup(_style()),  # noqa: S704 - a file of our own
        "here": path,
        "home": prefix or "/",
        "home_figures": f"{prefix}/figures",
        "other": bare if language == "en" else "/en" + bare.rstrip("/"),
        "query": query,
    }
    html = _templates().get_template(f"{name}.html").render(**common, **values)
    PAGES.labels(name, str(status)).inc()
    return HTMLResponse(html, status, headers=headers(private=private))


def to(path: str) -> RedirectResponse:
    """The next page, after a form was taken."""
    return RedirectResponse(path, 303, headers=headers(private=True))


def headers(*, private: bool) -> dict[str, str]:
    """No script at all, no style but our own, nothing from elsewhere, in no frame."""
    policy = (
        f"default-src 'none'; style-src 'sha256-{_style_hash()}'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    )
    return {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
        "Cache-Control": "no-store" if private else "public, max-age=300",
    }


class FormTooLarge(SalurError):
    """More than any form of these pages can be."""

    http_status = 413


async def form_of(request: Request, *, bytes_max: int, fields_max: int) -> dict[str, str]:
    """The fields of a posted form, of equal names the last; none of what is no form. Raises FormTooLarge."""
    raw = await body_up_to(request, bytes_max)
    if raw is None:
        raise FormTooLarge(f"a form has at most {bytes_max} bytes")
    try:
        return dict(parse_qsl(raw.decode("utf-8"), keep_blank_values=True, max_num_fields=fields_max))
    except ValueError:
        return {}


@cache
def _templates() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("services.portal"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _style() -> str:
    return (files("services.portal") / "templates" / "style.css").read_text(encoding="utf-8")


@cache
def _style_hash() -> str:
    return base64.b64encode(sha256(_style().encode()).digest()).decode()
