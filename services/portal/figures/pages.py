"""The open figures: `/figures`, `/figures.csv`, `/figures.json`, and the page under `/en`."""

import csv
import io
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from hashlib import sha256
from typing import Any

import asyncpg
import orjson
from fastapi import APIRouter, Request
from fastapi.responses import Response

from services.portal.aid.pages import answering
from services.portal.figures.view import shown, table_of
from services.portal.regions import name_of
from services.portal.store import figures as store
from services.portal.texts import Catalogue, words
from services.portal.web import LANGUAGES, headers, page
from shared.words import Language, day, moment


@dataclass(frozen=True, slots=True)
class FigurePages:
    """What the pages are made from."""

    pool: asyncpg.Pool
    names: Catalogue

    async def figures(self, request: Request, language: Language) -> Response:
        t = words(language)
        edition = await self._edition(request)
        if edition is None:
            return page(
                request, "message", language, 404, private=False, heading="figures_none_title", text="figures_none"
            )
        whole, of = edition["area"], edition["edition"]
        area = _district(request, whole)
        table = table_of(await store.figures_of(self.pool, of))
        checkpoint = orjson.loads(edition["checkpoint"]) if edition["checkpoint"] else None
        here = f"{LANGUAGES[language]}/figures"
        return page(
            request,
            "figures",
            language,
            private=False,
            whole_page=here,
            area=name_of(area) if area == whole else f"{name_of(area)}, {name_of(whole)}",
            day=day(datetime.combine(of, time(4), UTC), language),
            moment=moment(edition["computed_at"], language),
            checkpoint=checkpoint,
            edition=of.isoformat(),
            earlier=[held.isoformat() for held in await store.editions(self.pool) if held != of][:12],
            **shown(table, self.names, t, whole, area, here),
        )

    async def as_json(self, request: Request) -> Response:
        """Everything of an edition, with what it was computed from."""
        edition = await self._edition(request)
        if edition is None:
            return Response(b'{"figures": []}', 404, headers(private=False), "application/json")
        rows = await store.figures_of(self.pool, edition["edition"])
        document: dict[str, Any] = {
            **_said(edition),
            "positions_sha256": _hash_of(orjson.loads(edition["positions"])),
            "figures": [{**row._asdict(), "name": name_of(row.area)} for row in rows],
        }
        return Response(orjson.dumps(document), 200, headers(private=False), "application/json")

    async def as_csv(self, request: Request) -> Response:
        """One line a figure; `value` is empty where it is not shown."""
        edition = await self._edition(request)
        text = io.StringIO()
        write = csv.writer(text, lineterminator="\r\n")
        write.writerow(("edition", "measure", "programme", "period", "reason", "area", "name", "value"))
        if edition is not None:
            for row in await store.figures_of(self.pool, edition["edition"]):
                value = "" if row.value is None else row.value
                write.writerow((edition["edition"], *row[:5], name_of(row.area), value))
        named = headers(private=False) | {"Content-Disposition": 'attachment; filename="figures.csv"'}
        return Response(text.getvalue().encode(), 200 if edition else 404, named, "text/csv; charset=utf-8")

    async def _edition(self, request: Request) -> asyncpg.Record | None:
        asked = request.query_params.get("edition")
        if asked is None:
            return await store.newest(self.pool)
        try:
            return await store.edition_of(self.pool, date.fromisoformat(asked))
        except ValueError:
            return None


def _said(edition: asyncpg.Record) -> dict[str, Any]:
    return {
        "edition": edition["edition"],
        "computed_at": edition["computed_at"],
        "area": edition["area"],
        "checkpoint": orjson.loads(edition["checkpoint"]) if edition["checkpoint"] else None,
        "rounded_to": 5,
        "hidden_below": 10,
    }


def _hash_of(positions: dict[str, dict[str, int]]) -> str:
    """Of what had been read: the positions themselves are exact counts of events."""
    return sha256(orjson.dumps(positions, option=orjson.OPT_SORT_KEYS)).hexdigest()


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
