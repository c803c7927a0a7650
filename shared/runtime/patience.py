"""Starting while the world around is not there yet."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from shared.runtime.backoff import Backoff
from shared.runtime.failures import is_trouble, told

log = structlog.get_logger()

TRIES = 12


async def patiently(start: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Repeats a step of the start while database or broker are away. Raises what it met at last."""
    backoff = Backoff()
    while True:
        try:
            return await start()
        except Exception as error:
            if not is_trouble(error) or backoff.failures >= TRIES:
                raise
            log.warning("waiting to start", error=told(error))
            await asyncio.sleep(backoff.next_s())
