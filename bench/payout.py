"""How fast payout is: `python -m bench.payout [RECIPIENTS]` on a temporary PostgreSQL and a real simulated bank.

Decisions through the stage, orders by the sweep, outcomes by the bank's workers (claim, call, outcome), idle sweeps and
queueing: each with what it costs. SALUR_POSTGRES takes a given database instead.
"""

import asyncio
import gc
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
import uvloop

from salur.stack.postgres import EmbeddedPostgres
from tests.integration.paying import Desk, desk_on
from tests.integration.running_simulator import running
from tests.stack import drop_database, fresh_database

BATCH = 2000
FAST = ("--refused", 0.01, "--delayed", 0, "--timeout", 0, "--late", 0, "--cut", 0)


class Meter:
    """Wall time, CPU of this process and CPU of PostgreSQL's, since it was made."""

    def __init__(self, postmaster: psutil.Process) -> None:
        self._postmaster = postmaster
        self._began = self._now()

    def _now(self) -> tuple[float, float, float]:
        times = [p.cpu_times() for p in (self._postmaster, *self._postmaster.children())]
        return time.perf_counter(), time.process_time(), sum(t.user + t.system for t in times)

    def say(self, what: str, count: int) -> None:
        wall, own, database = (now - then for now, then in zip(self._now(), self._began, strict=True))
        print(
            f"{what:<28}{count / wall:9,.0f}/s   CPU an item: {own / count * 1e6:5.0f} µs Python"
            f" + {database / count * 1e6:4.0f} µs PostgreSQL"
        )


async def drained(turn: Any, workers: int = 1) -> None:
    """Ends when `workers` of these find nothing to do any more."""

    async def repeat() -> None:
        while await turn():
            pass

    await asyncio.gather(*(repeat() for _ in range(workers)))


async def measure(desk: Desk, recipients: int) -> None:
    pid = await desk.outbox.pool.fetchval("SELECT pg_backend_pid()")
    postmaster = psutil.Process(pid).parent()
    assert postmaster is not None
    await desk.open_cycle(10**14)
    batches = [range(n, min(n + BATCH, recipients + 1)) for n in range(1, recipients + 1, BATCH)]
    made = [[desk.message(desk.decision(n)) for n in batch] for batch in batches]
    meter = Meter(postmaster)
    for messages in made:
        await desk.hand_in(messages)
    meter.say("decisions (decode, handler)", recipients)
    meter = Meter(postmaster)
    await drained(desk.sweep.turn)
    meter.say("orders (sweep)", recipients)
    meter = Meter(postmaster)
    await drained(desk.bank.pay, 4)
    meter.say("outcomes (bank, 4 calls)", recipients)
    meter = Meter(postmaster)
    for _ in range(50):
        await desk.sweep.turn()
    meter.say("idle sweeps", 50)
    await desk.open_cycle(1, period="2026-12")
    meter = Meter(postmaster)
    await drained(desk.sweep.turn)
    meter.say("queued (no budget)", recipients)
    await desk.check_books()


async def main(recipients: int) -> None:
    with tempfile.TemporaryDirectory(prefix="salur-bench-") as folder:
        server = None if "SALUR_POSTGRES" in os.environ else EmbeddedPostgres(Path(folder) / "home")
        address = str(server.start()) if server else os.environ["SALUR_POSTGRES"]
        database = await fresh_database(address)
        try:
            async with (
                running("bank", Path(folder) / "bank", *FAST) as bank,
                desk_on(
                    database,
                    Path(folder) / "keys.json",
                    orders_a_call=500,
                    call_timeout_s=10,
                    timestamp_tolerance_s=5,
                    window_s=20,
                ) as desk,
            ):
                desk.connect(bank.url)
                await measure(desk, recipients)
        finally:
            await drop_database(database)
            if server:
                server.stop()


if __name__ == "__main__":
    gc.freeze()
    gc.set_threshold(50_000, 50, 50)  # as a service runs
    uvloop.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 50_000))
