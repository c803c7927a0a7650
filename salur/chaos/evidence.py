"""What a run leaves behind, beside the report: what became of the poison, what was published twice, who was fenced."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

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
_NUMBERED: Final = "SELECT coalesce(sum(next_sequence), 0) FROM output_position WHERE topic = ANY ($1::text[])"
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
    numbered = 0
    for service in STAGES:
        async with database(settings, service) as connection:
            numbered += int(await connection.fetchval(_NUMBERED, outputs_of(service)))
    written = sum(count for name, count in events.items() if FLOW_TOPICS[name].owner is not None)
    return written - numbered


def zombies_met(home: Home) -> tuple[int, int]:
    """By the logs: turns that were rolled back because another process had moved on, and transactions that the database
    ended because their process had stopped in them."""
    logs = [path.read_bytes() for path in home.logs.iterdir() if path.is_file()]
    return sum(log.count(_FENCED) for log in logs), sum(log.count(_ENDED) for log in logs)


def restarts(home: Home) -> int:
    state = State.load(home.state)
    return sum(record.restarts for record in state.processes) if state else 0
