"""What a run leaves behind, beside the report: what became of the poison, what was published twice, who was fenced,
what the monitor counted."""

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Final

import aiohttp
from aiokafka import TopicPartition

from salur.chaos.poison import PREFIX, Poison
from salur.inside.connect import Settings, consumer, database
from salur.stack.home import Home
from salur.stack.state import State
from shared.errors import SalurError
from shared.events.topics import FLOW_TOPICS, STAGES, outputs_of
from shared.reading import extents, partitions_of, read
from shared.runtime.letters import Letter, body_of, letters

_FENCED: Final = b"another worker moved on"
_ENDED: Final = b"terminating connection due to transaction timeout"
_NUMBERED: Final = """
SELECT topic, sum(next_sequence)::bigint FROM output_position WHERE topic = ANY ($1::text[]) GROUP BY topic
"""
_MONITOR_WITHIN_S: Final = 240.0
_LOOK_EVERY_S: Final = 1.0
_THE_RUN: Final = {"by": "district", "minutes": "1440"}
"""By district the monitor tells whole hours, the running one included."""
_ANSWERS: Final = f"SELECT id, answer, problems FROM submission WHERE id LIKE '{PREFIX}%'"


@dataclass(slots=True)
class PoisonFound:
    """`counts`: injected, on the topics (a lost acknowledgement puts one there twice), dead, rejected."""

    counts: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


async def poison_found(settings: Settings, injected: Collection[Poison]) -> PoisonFound:
    """Every dead letter is a poison message, with its very bytes, and every poison message came to its end once.

    Raises Away, NeverRan, KeyMissing.
    """
    found = PoisonFound()
    by_key = {poison.key: poison for poison in injected}
    places = await _on_topics(settings, by_key)
    counts = Counter(poison.key for poison in places.values())
    found.wrong += [f"{p.key.decode()} ({p.name}) is not on {p.topic}" for p in injected if not counts[p.key]]
    deadly = {place: poison for place, poison in places.items() if poison.rejected is None}
    dead = await _check_letters(settings, deadly, found.wrong)
    rejected = await _check_answers(settings, [poison for poison in injected if poison.rejected], found.wrong)
    found.counts = {"injected": len(injected), "on_topics": len(places), "dead": dead, "rejected": rejected}
    return found


async def _on_topics(settings: Settings, by_key: Mapping[bytes, Poison]) -> dict[str, Poison]:
    """Poison by its place on an intake topic, as dead letters name it."""
    found: dict[str, Poison] = {}
    partitions = await partitions_of(settings, {poison.topic for poison in by_key.values()})
    async with consumer(settings) as client:
        wanted = [TopicPartition(topic, number) for topic, count in partitions.items() for number in range(count)]
        async for tp, records in read(client, await extents(client, wanted)):
            for record in records:
                if poison := by_key.get(record.key):
                    found[f"{tp.topic}/{tp.partition}/{record.offset}"] = poison
    return found


async def _check_letters(settings: Settings, deadly: Mapping[str, Poison], wrong: list[str]) -> int:
    keyring = settings.keyring("recovery")
    seen: dict[str, Letter] = {}
    async with consumer(settings) as client:
        for service in STAGES:
            async for letter in letters(client, settings, service):
                if service != "registry" or letter.origin not in deadly:
                    about = letter.recipient or letter.origin
                    wrong.append(f"{about}: a dead letter of {service} that nobody injected: {letter.data.code}")
                seen[letter.origin] = letter
        for origin, poison in deadly.items():
            if origin not in seen:
                wrong.append(f"{poison.key.decode()} ({poison.name}) at {origin} is not among the dead letters")
                continue
            try:
                same = await body_of(client, seen[origin], keyring) == poison.value
            except SalurError as error:
                wrong.append(f"{poison.key.decode()} ({poison.name}) at {origin}: {error.message}")
                continue
            if not same:
                wrong.append(f"{poison.key.decode()} ({poison.name}) at {origin} was set apart with other bytes")
    return len(seen)


async def _check_answers(settings: Settings, rejected: Collection[Poison], wrong: list[str]) -> int:
    async with database(settings, "registry") as connection:
        answers = {row["id"]: row for row in await connection.fetch(_ANSWERS)}
    for poison in rejected:
        row = answers.pop(poison.key.decode(), None)
        codes = {problem.rpartition(":")[2] for problem in (row["problems"] or ())} if row else set()
        if row is None or row["answer"] != "rejected" or poison.rejected not in codes:
            told = f"{row['answer']} {sorted(codes)}" if row else "no answer"
            wrong.append(f"{poison.key.decode()} ({poison.name}): {told}, expected rejected {poison.rejected}")
    wrong += [f"{name}: answered {row['answer']}, and is no submission" for name, row in answers.items()]
    return len(rejected)


async def republications(settings: Settings, events: Mapping[str, int]) -> int:
    """Messages on the topics beyond those that the services have numbered."""
    written = sum(count for name, count in events.items() if FLOW_TOPICS[name].owner in STAGES)
    return written - sum((await _numbered(settings)).values())


async def _numbered(settings: Settings) -> Counter[str]:
    """By topic, how many events the stages have numbered."""
    numbered: Counter[str] = Counter()
    for service in STAGES:
        async with database(settings, service) as connection:
            numbered.update({row[0]: row[1] for row in await connection.fetch(_NUMBERED, outputs_of(service))})
    return +numbered


@dataclass(slots=True)
class Watched:
    """`events`: that the monitor counted."""

    events: int = 0
    wrong: list[str] = field(default_factory=list)


async def watched(settings: Settings, monitor_url: str) -> Watched:
    """Whether the monitor counts each event that the stages have numbered, and each once: it is waited for, as it
    reads behind everybody, and back what it had counted when it was started last."""
    numbered, counted = await _numbered(settings), Counter[str]()
    until = monotonic() + _MONITOR_WITHIN_S
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
        while counted != numbered and monotonic() < until:
            await asyncio.sleep(_LOOK_EVERY_S)
            with suppress(aiohttp.ClientError, TimeoutError, ValueError):
                async with session.get(f"{monitor_url}/windows", params=_THE_RUN) as answer:
                    counted = _by_topic((await answer.json())["rows"])
    wrong = [
        f"the monitor counts {counted[topic]:,} {topic}, there are {numbered[topic]:,}"
        for topic in sorted(numbered | counted)
        if counted[topic] != numbered[topic]
    ]
    return Watched(counted.total(), wrong)


def _by_topic(rows: Collection[Mapping[str, Any]]) -> Counter[str]:
    counted: Counter[str] = Counter()
    for row in rows:
        if FLOW_TOPICS[row["topic"]].owner in STAGES:
            counted[row["topic"]] += row["events"]
    return counted


def zombies_met(home: Home) -> tuple[int, int]:
    """By the logs: turns that were rolled back because another process had moved on, and transactions that the database
    ended because their process had stopped in them."""
    logs = [path.read_bytes() for path in home.logs.iterdir() if path.is_file()]
    return sum(log.count(_FENCED) for log in logs), sum(log.count(_ENDED) for log in logs)


def restarts(home: Home) -> int:
    state = State.load(home.state)
    return sum(record.restarts for record in state.processes) if state else 0
