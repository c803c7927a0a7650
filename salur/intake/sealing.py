"""Rows become sealed events: the costly part (0.1 ms and more a row), done in processes of its own for large files."""

import hmac
import os
import signal
from collections.abc import AsyncIterator, Iterable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import islice
from multiprocessing import get_context
from typing import Any, Final, NamedTuple

import orjson

from salur.intake.kinds import KINDS, Malformed, submitted_at
from salur.intake.table import Row, Table
from salur.intake.upstream import Upstream
from shared.events.codec import encode
from shared.events.envelope import envelope, schema_urn
from shared.partition import partition_of
from shared.privacy.hpke import SUBMISSION_BYTES_MAX, pad_json, seal_submission
from shared.privacy.leaks import leaks

ROWS_A_CHUNK: Final = 500
INLINE_BYTES_MAX: Final = 400_000
"""A smaller file is sealed here: starting processes would take longer."""
PROCESSES_MAX: Final = 4
MAC_BYTES: Final = 8


class Ready(NamedTuple):
    """A row that can be published."""

    row: int
    mac: bytes
    partition: int
    key: bytes
    value: bytes


class Refused(NamedTuple):
    """A row that cannot be sent."""

    row: int
    line: int
    column: str
    code: str


class Sealer(NamedTuple):
    """All that makes events of rows; it travels to the processes once.

    The id of a submission is STEM-ROW-MAC, and the MAC of the row's cells under the source's token: the same file
    gives the same ids whenever it is sent, and nobody can try out what a row holds from its id.
    """

    upstream: Upstream
    kind: str
    stem: str
    columns: tuple[str, ...]
    partitions: int
    started_at: datetime

    def seal(self, rows: Iterable[Row]) -> list[Ready | Refused]:
        return [self._seal(row) for row in rows]

    def _seal(self, row: Row) -> Ready | Refused:
        kind = KINDS[self.kind]
        try:
            if row.cells is None or len(row.cells) != len(self.columns):
                raise Malformed("", "csv_cells")
            cells = dict(zip(self.columns, row.cells, strict=True))
            # Without a time of its own a row is later than those above it.
            at = submitted_at(cells, self.started_at + timedelta(microseconds=row.number))
            content = kind.content(cells)
            if leaks(self.stem, content):
                raise Malformed("", "csv_file_name")
            plaintext = pad_json(orjson.dumps(content))
            if len(plaintext) > SUBMISSION_BYTES_MAX:
                raise Malformed("", "csv_too_large")
        except Malformed as error:
            return Refused(row.number, row.line, error.column, error.code)
        except (TypeError, orjson.JSONEncodeError):  # text that is no Unicode
            return Refused(row.number, row.line, "", "csv_cells")
        mac = hmac.digest(self.upstream.token.encode(), orjson.dumps([self.kind, cells]), "sha256")[:MAC_BYTES]
        submission_id = f"{self.stem}-{row.number}-{mac.hex()}"
        source = self.upstream.source
        sealed = seal_submission(self.upstream.keys, plaintext, source=source, event_id=submission_id)
        event = envelope(kind.model)(
            id=submission_id,
            source=source,
            type=kind.model.TYPE,
            subject=submission_id,
            time=at,
            dataschema=schema_urn(kind.model),
            data=kind.model(sealed=sealed),
        )
        key = submission_id.encode()
        return Ready(row.number, mac, partition_of(key, self.partitions), key, encode(event))


async def sealed_chunks(sealer: Sealer, table: Table, run: Any) -> AsyncIterator[list[Ready | Refused]]:
    """The file's rows in order, sealed, a chunk at a time; few chunks are in memory at once.

    `run(executor, function, argument)` is the event loop's `run_in_executor`.
    """
    rows = table.rows()
    with _executor(sealer, table) as (executor, processes):
        if executor is None:
            while chunk := list(islice(rows, ROWS_A_CHUNK)):
                yield sealer.seal(chunk)
            return
        waiting: list[Any] = []
        for chunk in iter(lambda: list(islice(rows, ROWS_A_CHUNK)), []):
            waiting.append(run(executor, _seal_in_process, chunk))
            if len(waiting) > 2 * processes:
                yield await waiting.pop(0)
        while waiting:
            yield await waiting.pop(0)


@contextmanager
def _executor(sealer: Sealer, table: Table) -> Any:
    if table.bytes <= INLINE_BYTES_MAX:
        yield None, 0
        return
    processes = min(PROCESSES_MAX, os.cpu_count() or 1)
    executor: Executor = ProcessPoolExecutor(processes, get_context("spawn"), _begin, (sealer,))
    try:
        yield executor, processes
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


_sealer: Sealer | None = None


def _begin(sealer: Sealer) -> None:
    """Ctrl-C is the parent's to answer."""
    global _sealer
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _sealer = sealer


def _seal_in_process(rows: Sequence[Row]) -> list[Ready | Refused]:
    assert _sealer is not None
    return _sealer.seal(rows)
