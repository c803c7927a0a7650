"""Registrations at a steady rate, and how long each takes until its payout is confirmed.

They are sealed beforehand and published in small portions, on time whatever the flow does with them. What a recipient
waits is read afterwards from the topics: from the moment the broker had the submission, and from
`recipient.registered`, to `payout.confirmed`, each by Kafka's own time of the message.
"""

import asyncio
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition

from salur.inside.connect import Settings, consumer
from salur.intake import find_kafka, find_upstream
from salur.intake.kinds import REGISTRATIONS
from salur.intake.publishing import producing, publish
from salur.intake.sealing import Ready, Sealer, sealed_chunks
from salur.intake.submit import stem_of
from salur.intake.table import Table
from salur.report.rates import percentile
from salur.stack.home import Home
from shared.clock import now
from shared.events.topics import intake_topic
from shared.reading import partitions_of

PORTION_S = 0.02
CONFIRMED, REGISTERED = "payout.confirmed", "recipient.registered"


class Waited(NamedTuple):
    """Milliseconds. `late_ms`: how far the publishing itself fell behind at most."""

    asked_per_s: int
    seconds: float
    late_ms: int
    registered: int
    confirmed: int
    registered_to_confirmed: dict[str, int]
    submitted_to_confirmed: dict[str, int]


async def sealed(home: Home, file: Path) -> tuple[str, list[Ready]]:
    """The topic, and the file's rows ready to be published."""
    upstream, kafka = find_upstream(home, "polman"), find_kafka(home)
    topic = intake_topic(REGISTRATIONS.model, upstream.source)
    table = Table(file, REGISTRATIONS)
    count = (await partitions_of(kafka, [topic]))[topic]
    sealer = Sealer(upstream, REGISTRATIONS.name, stem_of(file), table.columns, count, now())
    run = asyncio.get_running_loop().run_in_executor
    chunks = [chunk async for chunk in sealed_chunks(sealer, table, run)]
    table.close()
    return topic, [one for chunk in chunks for one in chunk if isinstance(one, Ready)]


async def paced(home: Home, topic: str, ready: Sequence[Ready], per_s: int) -> tuple[float, int]:
    """Publishes at this rate. Returns the seconds it took, and by how many ms it was late at most."""
    async with producing(find_kafka(home)) as producer:
        began, sent, late_s = time.perf_counter(), 0, 0.0
        while sent < len(ready):
            due = min(len(ready), int((time.perf_counter() - began) * per_s) + 1)
            if due > sent:
                for acknowledged in await publish(producer, topic, ready[sent:due]):
                    await acknowledged
                late_s = max(late_s, time.perf_counter() - began - sent / per_s)
                sent = due
            await asyncio.sleep(PORTION_S)
        return time.perf_counter() - began, round(late_s * 1000)


async def waited(settings: Settings, topic: str, ready: Sequence[Ready], per_s: int, took: tuple[float, int]) -> Waited:
    """What became of these submissions; reads the topics from their beginnings."""
    ids = {one.key.decode() for one in ready}
    async with consumer(settings) as client:
        submitted = {key: at for key, at, _ in await _moments(client, settings, topic) if key in ids}
        registered: dict[str, tuple[int, int]] = {}
        for subject, at, value in await _moments(client, settings, REGISTERED):
            if (origin := json.loads(value)["correlationid"]) in ids:
                registered[subject] = (submitted[origin], at)
        from_submitted, from_registered = [], []
        for subject, at, _ in await _moments(client, settings, CONFIRMED):
            if moments := registered.get(subject):
                from_submitted.append(at - moments[0])
                from_registered.append(at - moments[1])
    return Waited(
        per_s,
        round(took[0], 1),
        took[1],
        len(registered),
        len(from_registered),
        _percentiles(from_registered),
        _percentiles(from_submitted),
    )


def _percentiles(ms: list[int]) -> dict[str, int]:
    ordered = sorted(ms)
    return {f"p{permille // 10}": percentile(ordered, permille) for permille in (500, 990)} | {"max": ordered[-1]}


async def _moments(client: AIOKafkaConsumer, settings: Settings, topic: str) -> list[tuple[str, int, bytes]]:
    """Key, time in ms and value of everything in a topic."""
    places = [TopicPartition(topic, n) for n in range((await partitions_of(settings, [topic]))[topic])]
    client.assign(places)
    ends = await client.end_offsets(places)
    await client.seek_to_beginning(*places)
    found: list[tuple[str, int, bytes]] = []
    while any([await client.position(place) < ends[place] for place in places]):
        for records in (await client.getmany(timeout_ms=500, max_records=5_000)).values():
            found += [(record.key.decode(), record.timestamp, record.value) for record in records]
    return found
