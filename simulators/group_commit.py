"""A SQLite database whose writes share their fsync.

One thread owns the writing connection. It takes every job that waits, runs them in one transaction and commits once
(WAL, `synchronous=FULL`); only then do the callers learn their results. So what a caller was told survives kill -9
and a power cut, and a thousand callers pay for one fsync.
"""

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
Job = Callable[[sqlite3.Connection], T]

JOBS_MAX = 1000
ROWS_PER_READ = 2000
CACHE_KIB = 32_000
READER_CACHE_KIB = 2_000


@dataclass(slots=True)
class _Waiting:
    job: Job[Any]
    future: asyncio.Future[Any]
    result: Any = None
    error: Exception | None = None


class GroupCommit:
    """Runs jobs against the database at `path`; create it inside a running event loop.

    `gather_s`: how long the thread waits for company after a first job; 0 means only as long as the last commit took.
    """

    def __init__(self, path: Path, schema: str, gather_s: float = 0.0) -> None:
        self._path = path
        self._gather_s = gather_s
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._connection = _connect(path, CACHE_KIB)
        self._connection.executescript(schema)
        self._thread = threading.Thread(target=self._work, name=f"commit-{path.stem}", daemon=True)
        self._thread.start()

    async def run(self, job: Job[T]) -> T:
        """Run `job` in a transaction and return its result once that is durable.

        A job must have no effect but on the connection: when a neighbour in its batch raises, it is run once more.
        Raises what the job raised, or `sqlite3.Error` when the commit failed; nothing of the job is kept then.
        """
        waiting = _Waiting(job, self._loop.create_future())
        self._queue.put(waiting)
        result: T = await waiting.future
        return result

    async def rows(self, sql: str, values: Sequence[object] = ()) -> AsyncIterator[list[tuple[Any, ...]]]:
        """Read a result of any size in pieces from one snapshot, beside the writing, in bounded memory."""
        connection = await asyncio.to_thread(_connect, self._path, READER_CACHE_KIB)
        try:
            cursor = await asyncio.to_thread(connection.execute, sql, values)
            while piece := await asyncio.to_thread(cursor.fetchmany, ROWS_PER_READ):
                yield piece
        finally:
            connection.close()

    async def all_rows(self, sql: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Read a small result beside the writing."""
        return [row async for piece in self.rows(sql, values) for row in piece]

    async def close(self) -> None:
        """Finish the jobs that were handed in, then close."""
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _work(self) -> None:
        while True:
            first = self._queue.get()
            if first is None:
                break
            if self._gather_s:
                time.sleep(self._gather_s)
            batch = [first]
            stopping = False
            while len(batch) < JOBS_MAX and not self._queue.empty():
                following = self._queue.get()
                if following is None:
                    stopping = True
                    break
                batch.append(following)
            if not self._commit(batch):
                for waiting in batch:
                    self._commit([waiting])
            self._loop.call_soon_threadsafe(_answer, batch)
            if stopping:
                break
        self._connection.close()

    def _commit(self, batch: list[_Waiting]) -> bool:
        """Run the batch in one transaction; when that fails, roll back, note the error on each job and say False."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for waiting in batch:
                waiting.result = waiting.job(self._connection)
            self._connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 (whatever it is belongs to the caller who waits)
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            for waiting in batch:
                waiting.error = error
            return False
        for waiting in batch:
            waiting.error = None
        return True


def _answer(batch: list[_Waiting]) -> None:
    for waiting in batch:
        if waiting.future.done():
            continue
        if waiting.error is not None:
            waiting.future.set_exception(waiting.error)
        else:
            waiting.future.set_result(waiting.result)


def _connect(path: Path, cache_kib: int) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute(f"PRAGMA cache_size=-{cache_kib}")
    return connection
