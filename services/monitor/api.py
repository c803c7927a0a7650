"""Read-only endpoints: what the windows hold, and which alerts stand. Counts only; nothing of a person is in them."""

from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Query

from services.monitor import figures, store
from services.monitor.evaluating import Evaluator


def router(evaluator: Evaluator) -> APIRouter:
    api = APIRouter()

    @api.get("/windows")
    def windows(
        minutes: Annotated[int, Query(ge=1, le=1440)] = 10, by: Literal["programme", "district"] = "programme"
    ) -> dict[str, Any]:
        """The last hopping window of so many minutes (by programme at most 90), with the lag from event to event."""
        return figures.table(evaluator.watch.windows, evaluator.last, minutes, by)

    @api.get("/alerts")
    async def alerts(past: Annotated[int, Query(ge=0, le=1000)] = 50) -> list[dict[str, Any]]:
        """Alerts that stand, and the last `past` that are over; the newest first."""
        rows = await store.alerts(evaluator.outbox.pool, past=past)
        return [{**dict(row), "advice": orjson.loads(row["advice"])} for row in rows]

    return api
