"""The console put together."""

from datetime import timedelta
from typing import NamedTuple
from urllib.parse import urlsplit

import asyncpg
from fastapi import APIRouter

from services.portal.console.acts import Acts
from services.portal.console.context import Console, FindNik, IssueCode
from services.portal.console.gate import Gate
from services.portal.console.oidc import Issuer
from services.portal.console.pages import alerts, letters, money, overview, recipients, record, registrations
from services.portal.console.searches import Searches
from services.portal.console.sessions import Sessions
from services.portal.console.settings import ConsoleSettings
from services.portal.console.showing import Pages
from services.portal.console.sign_in import make_router
from services.portal.web import Door
from shared.officers import Verifier

_PAGES = (overview, recipients, registrations, money, letters, alerts, record)


class Made(NamedTuple):
    """The routers under /console, what must be closed at the end, and what shows a page."""

    routers: tuple[APIRouter, ...]
    acts: Acts
    pages: Pages


def make_console(
    pool: asyncpg.Pool,
    settings: ConsoleSettings,
    *,
    door: Door,
    find_nik: FindNik,
    issue_code: IssueCode,
) -> Made:
    issuer = Issuer(settings, Verifier(settings))
    idle, life = timedelta(seconds=settings.console_idle_s), timedelta(seconds=settings.console_life_s)
    living = Sessions(pool, issuer, idle, life)
    pages = Pages(issuer=_origin(settings.oidc_issuer), secure=door.secure)
    acts, searches = Acts(settings), Searches(settings.console_searches_hour)
    console = Console(pool, Gate(living, pages, door), pages, acts, find_nik, issue_code, searches)
    made = [router for module in _PAGES for router in module.make_routers(console)]
    return Made((make_router(console, living, issuer), *made), acts, pages)


def _origin(address: str | None) -> str | None:
    parts = urlsplit(address or "")
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else None
