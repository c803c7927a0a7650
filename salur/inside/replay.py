"""Putting back many dead letters of any services, as an operator asks for them."""

from collections.abc import Collection, Sequence

from salur.inside.connect import Away, Settings, consumer
from salur.inside.dead_letters import find
from shared.events.topics import Service, replay_topic
from shared.privacy.keyring import Keyring
from shared.reading import partitions_of
from shared.runtime.letters import letters, replays
from shared.runtime.replay import Mail, Outcome, producer


async def replay(
    settings: Settings,
    keyring: Keyring,
    *,
    ids: Collection[str] = (),
    services: Sequence[Service] = (),
    by: str,
    again: bool = False,
) -> list[Outcome]:
    """Puts back the letters with these ids, or all of these services.

    One that stands on the replay topic already is left alone unless `again`. Raises NotFound, KeyMissing, Away.
    """
    outcomes: list[Outcome] = []
    async with (
        consumer(settings) as client,
        consumer(settings) as bodies,
        producer(settings) as sender,
    ):
        mail = Mail(bodies, sender, keyring, by, again)
        found = list((await find(client, settings, ids)).values()) if ids else []
        for service in {letter.service for letter in found} | set(services):
            known = await replays(client, settings, service)
            topic = replay_topic(service)
            partitions = (await partitions_of(settings, [topic])).get(topic)
            if partitions is None:
                raise Away(f"there is no topic {topic}", hint=f"start {service} once: it makes its topics")
            named = [letter for letter in found if letter.service == service]
            outcomes += [await mail.put_back(letter, known, partitions) for letter in named]
            if service in services:
                everything = letters(client, settings, service)
                outcomes += [await mail.put_back(letter, known, partitions) async for letter in everything]
    return outcomes
