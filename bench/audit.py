"""Memory and speed of `salur audit verify`: `python -m bench.audit [EVENTS] [--rows]`.

Registrations on an embedded Kafka, with the heads (and, with --rows, the rows) that the registry would have for them in
an embedded PostgreSQL. The audit runs in a process of its own, which tells its memory after each twentieth.
"""

import asyncio
import json
import resource
import subprocess
import sys
import time
from argparse import ArgumentParser
from collections import defaultdict
from itertools import islice
from pathlib import Path
from typing import Any, Final

import asyncpg
import psutil
from aiokafka import AIOKafkaProducer

from salur.contract.examples import example
from salur.inside.audit import verify
from salur.inside.connect import Settings
from salur.stack.kafka import EmbeddedKafka
from salur.stack.postgres import EmbeddedPostgres
from shared.events import RecipientRegistered
from shared.events.codec import encode
from shared.events.topics import STAGES, Service
from shared.partition import partition_of
from shared.postgres import migrate
from shared.runtime.digest import START, extend_own, headers
from tests.integration.toy import empty_topics, settings_for
from tests.stack import new_home

AUDITED: Final[tuple[Service, ...]] = ("registry",)
EVENTS = 300_000
CHUNK = 10_000
STEPS = 20
NUMBER = "f" * 32
"""Stands in the template wherever a number goes, as 32 hex digits."""

TEMPLATE = example(RecipientRegistered)
ROWS = """
    INSERT INTO person (recipient_id) SELECT 'r-' || lpad(to_hex(n), 32, '0') FROM generate_series(0, $1::int - 1) AS n;
    INSERT INTO recipient
    SELECT 'r-' || number, 1, $2, $3, 'polman', number, decode(number, 'hex'), 'f-' || number, $4, $5, $6, $7, $8
    FROM (SELECT lpad(to_hex(n), 32, '0') AS number FROM generate_series(0, $1::int - 1) AS n) AS made;
    INSERT INTO submission (source, id, kind, content_digest, recipient_id, answer, detail, submitted_at, answered_at)
    SELECT 'polman', number, 'registration', decode(number, 'hex'), 'r-' || number, 'registered', 'new', $3, $2
    FROM (SELECT lpad(to_hex(n), 32, '0') AS number FROM generate_series(0, $1::int - 1) AS n) AS made;
"""


class Told:
    """The audit's progress: (events, resident bytes) after each step."""

    def __init__(self, events: int) -> None:
        self.steps: list[tuple[int, int]] = []
        self._every = max(1, events // STEPS)
        self._done = 0

    def begin(self, what: str, total: int) -> None:
        self.steps.append((self._done, psutil.Process().memory_info().rss))

    def advance(self, count: int) -> None:
        if (self._done + count) // self._every > self._done // self._every:
            self.steps.append((self._done + count, psutil.Process().memory_info().rss))
        self._done += count


def event(*, family: str = f"f-{NUMBER}") -> bytes:
    submission = TEMPLATE.data.submission.model_copy(update={"source": "polman", "id": NUMBER})
    changes = {"submission": submission, "family_id": family, "revision": 1, "change": "new"}
    data = TEMPLATE.data.model_copy(update=changes)
    return encode(TEMPLATE.model_copy(update={"id": NUMBER, "subject": f"r-{NUMBER}", "data": data}))


async def publish(kafka: str, topic: str, numbers: range, heads: dict[int, tuple[int, bytes]]) -> None:
    """Puts events of these numbers on the topic; moves the heads of its partitions."""
    template = event()
    partitions = len(heads)
    producer = AIOKafkaProducer(bootstrap_servers=kafka, acks="all", enable_idempotence=True, max_batch_size=900_000)
    await producer.start()
    try:
        for start in range(0, len(numbers), CHUNK):
            waiting = defaultdict(list)
            for n in numbers[start : start + CHUNK]:
                number = b"%032x" % n
                key = b"r-" + number
                waiting[partition_of(key, partitions)].append((key, template.replace(NUMBER.encode(), number)))
            sent = []
            for partition, records in waiting.items():
                sequence, digest = heads[partition]
                left = iter(records)
                while some := list(islice(left, 400)):
                    batch = producer.create_batch()
                    for key, value in some:
                        digest = extend_own(digest, sequence, key, value)
                        assert batch.append(key=key, value=value, timestamp=None, headers=headers(sequence))
                        sequence += 1
                    batch.close()
                    sent.append(await producer.send_batch(batch, topic, partition=partition))
                heads[partition] = (sequence, digest)
            await asyncio.gather(*sent)
    finally:
        await producer.stop()


async def prepare(kafka: str, postgres: str, home: Path, events: int, rows: bool) -> None:
    settings = settings_for(kafka, postgres, home / "keys.json")
    await empty_topics(settings)
    for stage in STAGES:
        await migrate(postgres, stage)
    heads = dict.fromkeys(range(settings.partitions), (0, START))
    await publish(kafka, RecipientRegistered.TYPE, range(events), heads)
    connection = await asyncpg.connect(postgres, server_settings={"search_path": "registry"})
    try:
        columns = ["topic", "partition", "next_sequence", "digest"]
        records = [(RecipientRegistered.TYPE, partition, *head) for partition, head in heads.items()]
        await connection.copy_records_to_table("output_position", records=records, columns=columns)
        if rows:
            data = TEMPLATE.data
            values = {
                1: events,
                2: data.registered_at,
                3: data.submission.submitted_at,
                4: data.village,
                5: data.decile,
                6: data.eligibility,
                7: data.payment,
                8: data.contact,
            }
            for statement in ROWS.strip().rstrip(";").split(";"):
                used = [n for n in values if f"${n}" in statement]
                for place, n in enumerate(used, 1):
                    statement = statement.replace(f"${n}", f"${place}")
                await connection.execute(statement, *(values[n] for n in used), timeout=600)
    finally:
        await connection.close()


def audit(kafka: str, postgres: str, events: int, rows: bool) -> None:
    """In a process of its own: prints what it found as JSON."""
    from salur.inside.options import run

    told = Told(events)
    began = time.perf_counter()
    result = run(verify(Settings(kafka=kafka, postgres=postgres), AUDITED, told, rows=rows))
    used = resource.getrusage(resource.RUSAGE_SELF)
    told.begin("the end", 0)
    found = {
        "events": result.events,
        "findings": [finding.detail for finding in result.findings[:5]],
        "wall_s": time.perf_counter() - began,
        "cpu_s": used.ru_utime + used.ru_stime,
        "peak_bytes": used.ru_maxrss * 1024,
        "steps": told.steps,
    }
    print(json.dumps(found))


def main() -> None:
    parser = ArgumentParser(prog="bench.audit")
    parser.add_argument("events", type=int, nargs="?", default=EVENTS)
    parser.add_argument("--rows", action="store_true")
    parser.add_argument("--child", nargs=2, metavar=("KAFKA", "POSTGRES"))
    given = parser.parse_args()
    if given.child:
        address, database = given.child
        audit(address, database, given.events, given.rows)
        return
    home = new_home(on_disk=True)
    kafka, postgres = EmbeddedKafka(home), EmbeddedPostgres(home)
    try:
        addresses = (str(kafka.start()), postgres.start())
        began = time.perf_counter()
        asyncio.run(prepare(*addresses, home, given.events, given.rows))
        print(
            f"made {given.events:,} events of {len(event())} bytes in {time.perf_counter() - began:.0f} s", flush=True
        )
        command = [sys.executable, "-m", "bench.audit", str(given.events), "--child", *addresses]
        done = subprocess.run([*command, *(["--rows"] if given.rows else [])], stdout=subprocess.PIPE, check=True)
        report(json.loads(done.stdout), given.rows)
    finally:
        postgres.stop()
        kafka.stop()


def report(found: dict[str, Any], rows: bool) -> None:
    events = found["events"]
    assert events, "nothing was audited"
    assert not found["findings"], found["findings"]
    print(
        f"verify{'' if rows else ' --events-only'}: {events / found['wall_s']:,.0f} events/s, "
        f"{found['cpu_s'] / events * 1e6:.1f} µs CPU an event, peak {found['peak_bytes'] / 1e6:.0f} MB"
    )
    reading = [(done, rss) for done, rss in found["steps"] if done]
    print("MB after so many events: " + ", ".join(f"{done / 1000:,.0f}k {rss / 1e6:.0f}" for done, rss in reading))
    early = max(rss for done, rss in reading if 0.25 * events <= done < 0.5 * events)
    late = max(rss for done, rss in reading if done >= 0.75 * events)
    print(f"highest in the second quarter {early / 1e6:.0f} MB, in the last {late / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
