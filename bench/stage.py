"""How fast one stage is: `python -m bench.stage [EVENTS]`. Validated event → row → event, exactly once.

The runtime's toy stage on an embedded Kafka and PostgreSQL of its own, which share the machine with it.
"""

import sys
import time
from pathlib import Path

import uvloop

from salur.stack.kafka import EmbeddedKafka
from salur.stack.postgres import EmbeddedPostgres
from shared.privacy import keyfile
from shared.privacy.keyring import Keyring
from tests.integration import toy
from tests.stack import new_home

EVENTS = 100_000
CHUNK = 5_000


async def measure(kafka: str, postgres: str, home: Path, events: int) -> None:
    keys = home / "keys.json"
    keyfile.create(keys)
    settings = toy.settings_for(kafka, postgres, keys)
    await toy.empty_topics(settings)
    await toy.prepare(settings)
    for start in range(0, events, CHUNK):
        await toy.feed(settings, toy.registrations(min(CHUNK, events - start), start))
    process = await toy.start(settings, toy.Toy(), Keyring.load(keys))
    began, cpu = time.perf_counter(), time.process_time()

    async def done() -> bool:
        waiting = await process.pool.fetchval("SELECT count(*) FROM outbox")
        return waiting == 0 and await process.pool.fetchval("SELECT count(*) FROM toy") == events

    await toy.until(done, timeout_s=300)
    wall, own = time.perf_counter() - began, time.process_time() - cpu
    print(f"{events:,} events: {events / wall:,.0f}/s, {own / events * 1e6:.0f} µs CPU an event in the stage's process")
    await process.stop()


def main() -> None:
    events = int(sys.argv[1]) if len(sys.argv) > 1 else EVENTS
    home = new_home()
    kafka, postgres = EmbeddedKafka(home), EmbeddedPostgres(home)
    try:
        uvloop.run(measure(str(kafka.start()), postgres.start(), home, events))
    finally:
        postgres.stop()
        kafka.stop()


main()
