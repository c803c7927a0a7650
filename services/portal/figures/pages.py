"""The open figures: `/figures`, `/figures.csv`, `/figures.json`, and the page under `/en`."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time

import asyncpg
import orjson
from fastapi import APIRouter, Request
from fastapi.responses import Response

from services.portal.aid.pages import answering
from services.portal.figures.editions import COLUMNS, Editions, Sent
from services.portal.figures.view import Address, shown
from services.portal.regions import name_of
from services.portal.store import figures as store
from services.portal.texts import Catalogue, words
from services.portal.web import LANGUAGES, headers, page
from shared.words import Language, day, moment


@dataclass(frozen=True, slots=True)
class FigurePages:
    """What the pages are made from."""

    editions: Editions
    names: Catalogue

    async def figures(self, request: Request, language: Language) -> Response:
        t, pool = words(language), self.editions.pool
        edition = await self._edition(request)
        if edition is None:
            return page(
                request, "message", language, 404, private=False, heading="figures_none_title", text="figures_none"
            )
        whole, of = edition["area"], edition["edition"]
        area = _district(request, whole)
        table = (await self.editions.made(edition)).table
        checkpoint = orjson.loads(edition["checkpoint"]) if edition["checkpoint"] else None
        asked = of.isoformat() if "edition" in request.query_params else ""
        address = Address(f"{LANGUAGES[language]}/figures", asked)
        district = "" if area == whole else area
        return page(
            request,
            "figures",
            language,
            private=False,
            query=address.query(district),
            whole_page=address.to(""),
            area=name_of(area) if area == whole else f"{name_of(area)}, {name_of(whole)}",
            day=day(datetime.combine(of, time(4), UTC), language),
            moment=moment(edition["computed_at"], language),
            checkpoint=checkpoint,
            edition=of.isoformat(),
            earlier=[
                (held.isoformat(), address._replace(edition=held.isoformat()).to(district))
                for held in await store.editions(pool)
                if held != of
            ][:12],
            **shown(table, self.names, t, whole, area, address),
        )

    async def as_json(self, request: Request) -> Response:
        edition = await self._edition(request)
        if edition is None:
            return Response(b'{"figures": []}', 404, headers(private=False), "application/json")
        return _answer(request, (await self.editions.made(edition)).as_json, "application/json", {})

    async def as_csv(self, request: Request) -> Response:
        edition = await self._edition(request)
        named = {"Content-Disposition": 'attachment; filename="figures.csv"'}
        if edition is None:
            nothing = f"{','.join(COLUMNS)}\r\n".encode()
            return Response(nothing, 404, headers(private=False) | named, "text/csv; charset=utf-8")
        return _answer(request, (await self.editions.made(edition)).as_csv, "text/csv; charset=utf-8", named)

    async def _edition(self, request: Request) -> asyncpg.Record | None:
        asked = request.query_params.get("edition")
        if asked is None:
            return await store.newest(self.editions.pool)
        try:
            return await store.edition_of(self.editions.pool, date.fromisoformat(asked))
        except ValueError:
            return None


def _answer(request: Request, sent: Sent, media_type: str, named: dict[str, str]) -> Response:
    """A browser that has it already is told so, without the body."""
    told = headers(private=False) | named | {"ETag": sent.etag}
    if sent.etag in request.headers.get("if-none-match", ""):
        return Response(None, 304, told)
    return Response(sent.body, 200, told, media_type)


def _district(request: Request, whole: str) -> str:
    asked = request.query_params.get("district", "")
    good = len(asked) == 6 and asked.isascii() and asked.isdigit() and asked.startswith(whole)
    return asked if good else whole


def router(pages: FigurePages) -> APIRouter:
    routes = APIRouter()
    for language, prefix in LANGUAGES.items():
        endpoint = answering(pages.figures, language)
        routes.add_api_route(f"{prefix}/figures", endpoint, methods=["GET"], include_in_schema=False)
    routes.add_api_route("/figures.json", pages.as_json, methods=["GET"], include_in_schema=False)
    routes.add_api_route("/figures.csv", pages.as_csv, methods=["GET"], include_in_schema=False)
    return routes
