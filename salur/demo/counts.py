"""How far the flow is: events by type from the ends of the topics, and what is not finished from the tables."""

from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition

from salur.inside.connect import Settings, database
from salur.stack.lag import lags
from shared.events.topics import FLOW_TOPICS, STAGES
from shared.reading import partitions_of

_UNFINISHED = {
    "payout": """
        SELECT (SELECT count(*) FROM payout WHERE state IN ('ordered', 'claimed', 'unknown', 'unsent'))
             + (SELECT count(*) FROM standing WHERE standing = 'not_yet_considered')
    """,
    "notify": "SELECT count(*) FROM (SELECT FROM message WHERE state IN ('waiting', 'sending') LIMIT 1) AS open",
}


@dataclass(slots=True)
class Flow:
    """Looks at the flow from outside, for as long as its client is open."""

    settings: Settings
    client: AIOKafkaConsumer
    places: tuple[TopicPartition, ...] = ()

    async def events(self) -> dict[str, int]:
        """Events so far, by topic."""
        if not self.places:
            partitions = await partitions_of(self.settings, FLOW_TOPICS)
            self.places = tuple(TopicPartition(name, n) for name, count in partitions.items() for n in range(count))
            self.client.assign(self.places)
            self.client.pause(*self.places)  # only their ends are wanted, not what they hold
        counts = dict.fromkeys(FLOW_TOPICS, 0)
        for place, end in (await self.client.end_offsets(self.places)).items():
            counts[place.topic] += end
        return counts

    async def behind(self) -> int:
        """Messages that some stage has not yet handled."""
        behind = await lags(self.settings, list(STAGES))
        return sum(1 if lag is None else lag for lag in behind.values())

    async def finished(self) -> bool:
        """Whether no payout awaits an outcome, no message waits to be sent, and every outbox is published.

        The last stage is asked first, and the others only once it has nothing left: the questions cost the flow time.
        """
        for service in reversed(STAGES):
            if await self._open_rows(service):
                return False
        return True

    async def _open_rows(self, service: str) -> int:
        async with database(self.settings, service) as connection:
            waiting = int(await connection.fetchval("SELECT count(*) FROM outbox"))
            if query := _UNFINISHED.get(service):
                waiting += int(await connection.fetchval(query))
        return waiting
