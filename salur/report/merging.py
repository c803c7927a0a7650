"""Rows of two places side by side, in the order of their keys and in flat memory."""

import gc
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

import asyncpg

from salur.inside.connect import database
from shared.settings import PostgresSettings

ROWS_A_FETCH = 5000

L = TypeVar("L")
R = TypeVar("R")


@contextmanager
def rare_collections() -> Iterator[None]:
    """Python looks seldom for cyclic garbage meanwhile: reading makes millions of objects and no cycles, and looking
    costs a third of the time."""
    before = gc.get_threshold()
    gc.set_threshold(200_000, 20, 20)
    try:
        yield
    finally:
        gc.set_threshold(*before)


@asynccontextmanager
async def snapshot(settings: PostgresSettings, service: str) -> AsyncIterator[asyncpg.Connection]:
    """One moment of a service's database, that of the first query. Raises Away, NeverRan."""
    async with (
        database(settings, service) as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        await connection.fetchval("SELECT 1 FROM output_position LIMIT 1")
        yield connection


async def rows(connection: asyncpg.Connection, sql: str, *values: Any) -> AsyncIterator[Any]:
    """The rows of a query one by one, fetched some at a time."""
    cursor = await connection.cursor(sql, *values)
    while some := await cursor.fetch(ROWS_A_FETCH):
        for row in some:
            yield row


async def each(items: Iterator[L]) -> AsyncIterator[L]:
    """An ordinary iterator as an asynchronous one."""
    for item in items:
        yield item


async def beside(
    left: AsyncIterator[L], right: AsyncIterator[R], left_key: Callable[[L], Any], right_key: Callable[[R], Any]
) -> AsyncIterator[tuple[L | None, R | None]]:
    """Pairs of equal keys; None where one side has none. Both sides are in the order of their keys, each key once."""
    one, other = await anext(left, None), await anext(right, None)
    while one is not None or other is not None:
        if other is None or (one is not None and left_key(one) < right_key(other)):
            yield one, None
            one = await anext(left, None)
        elif one is None or right_key(other) < left_key(one):
            yield None, other
            other = await anext(right, None)
        else:
            yield one, other
            one, other = await anext(left, None), await anext(right, None)
