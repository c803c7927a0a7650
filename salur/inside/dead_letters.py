"""Which dead letters an operator means: found by their ids, or by the key they are sealed with, over all services."""

from collections.abc import Collection
from typing import Final

from aiokafka import AIOKafkaConsumer

from salur.inside.options import NotFound
from shared.events.topics import STAGES, Service
from shared.privacy.keys import Kind
from shared.reading import consumer
from shared.runtime.letters import Letter, letters, replays
from shared.settings import KafkaSettings

SUBMISSIONS_TAKEN_BY: Final[Service] = "registry"


async def find(client: AIOKafkaConsumer, settings: KafkaSettings, wanted: Collection[str]) -> dict[str, Letter]:
    """The letters with these ids or beginnings of ids (8 characters or more), by what was asked for.

    Raises NotFound, which names what no letter, or more than one, begins with.
    """
    found: dict[str, list[Letter]] = {text: [] for text in wanted}
    for text in wanted:
        if len(text) < 8:
            raise NotFound(f"{text} is too short for an id", hint="give at least its first 8 characters")
    for service in STAGES:
        async for letter in letters(client, settings, service):
            for text in wanted:
                if letter.id.startswith(text):
                    found[text].append(letter)
    for text, matching in found.items():
        if not matching:
            raise NotFound(f"there is no dead letter {text}", hint="`salur dlq list` shows them")
        if len(matching) > 1:
            raise NotFound(f"{len(matching)} dead letters begin with {text}", hint="give the whole id")
    return {text: matching[0] for text, matching in found.items()}


async def waiting_under(settings: KafkaSettings, kind: Kind, key_id: str) -> dict[Service, int]:
    """How many dead letters of each service are worth nothing without this key and were not put back. Raises Away.

    Their bodies are under a key for `recovery`; in those of the registry are submissions, under which key is not told
    from outside. What was put back before the replay topic's retention counts as waiting: nobody remembers it.
    """
    waiting: dict[Service, int] = {}
    async with consumer(settings) as client:
        for service in STAGES if kind == "recovery" else (SUBMISSIONS_TAKEN_BY,):
            back = await replays(client, settings, service)
            async for letter in letters(client, settings, service):
                body = letter.data.body
                if body and (kind == "submission" or body.key_id == key_id) and letter.id not in back:
                    waiting[service] = waiting.get(service, 0) + 1
    return waiting
