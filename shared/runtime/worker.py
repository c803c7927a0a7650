"""Workers: repeated work over rows that are due, beside the stage."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

import structlog

from shared.runtime.backoff import Backoff
from shared.runtime.failures import is_trouble
from shared.telemetry.metrics import TROUBLES, WORKER_ROWS

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Worker:
    """`turn` moves some due rows on and returns how many; 0 means nothing was due, and the worker pauses.

    Rows are claimed in one transaction (`FOR UPDATE SKIP LOCKED`), the outside is called without one, and the outcome
    is written in a second, so that any number of processes may run the same worker and a crash loses nothing.
    """

    name: str
    turn: Callable[[], Awaitable[int]]
    pause_s: float = 0.2


async def keep_working(worker: Worker, service: str, stopping: asyncio.Event) -> None:
    """Runs turns until told to stop. Any failure is logged and tried again: due rows stay due."""
    backoff = Backoff()
    while not stopping.is_set():
        pause_s = worker.pause_s
        try:
            moved = await worker.turn()
            WORKER_ROWS.labels(service, worker.name).inc(moved)
            backoff.reset()
            if moved:
                continue
        except Exception as error:
            pause_s = backoff.next_s()
            TROUBLES.labels(service, worker.name).inc()
            if is_trouble(error):
                log.warning("trouble, the worker waits", worker=worker.name, error=type(error).__name__)
            else:
                log.error("the worker's turn failed", worker=worker.name, exc_info=error)
        with suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), pause_s)
