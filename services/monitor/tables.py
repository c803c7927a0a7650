"""The windows as Faust tables, and what is special about them here.

- A key is (cell, window); the window comes from Faust's TumblingWindow. The tables expire their windows themselves, by
  event time and with a tombstone in the changelog: a windowed table of Faust goes by this machine's clock, and never
  forgets what it recovered.
- What was set goes to a changelog topic when `written` is called, each key once, and `written` waits until Kafka has
  it; offsets are committed only after that.
- The store is memory. Counts are small and bounded by their expiry; after a restart they come from the changelog.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Final, NamedTuple, cast

import faust
from aiokafka import AIOKafkaProducer
from faust.serializers.codecs import dumps
from faust.tables.table import Table
from faust.windows import TumblingWindow

from services.monitor.domain.counting import DAY_S, EXPIRES_S, HOUR_S, MINUTE_S, Cell, Count, Position, cell_of, expired
from shared.events.topics import CHANGELOGS

Key = tuple[str, tuple[float, float]]
Items = Iterator[tuple[Key, Count]]

SIZES: Final = {"minute": MINUTE_S, "hour": HOUR_S, "day": DAY_S}


class _Kept(Table):  # type: ignore[type-arg]
    """A table that knows which of its keys changed, and writes each of them once when it is told to.

    Faust sends each change as a message of its own, through a buffer that is made for a hundred of them.
    A count is kept on the changelog's partition of the same number as the one it counts.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.changed: set[Any] = set()

    def partition_for_key(self, key: Any) -> int:
        cell = key if isinstance(key, str) else key[0]
        return int(cell.split("|", 2)[1])

    def on_key_set(self, key: Any, value: Any) -> None:
        self.changed.add(key)

    def on_key_del(self, key: Any) -> None:
        self.changed.add(key)

    async def send(self, producer: AIOKafkaProducer) -> list[asyncio.Future[Any]]:
        """What changed is on its way; a key that is gone as a tombstone. The futures say what Kafka has."""
        changed, self.changed = self.changed, set()
        by_partition: dict[int, list[tuple[bytes, bytes | None]]] = defaultdict(list)
        for key in changed:
            value = dumps("json", self[key]) if key in self else None
            by_partition[self.partition_for_key(key)].append((dumps("json", key), value))
        topic, sent = self.changelog_topic_name, []
        for partition, records in by_partition.items():
            batch = producer.create_batch()
            for key, value in records:
                if batch.append(timestamp=None, key=key, value=value) is None:
                    sent.append(await producer.send_batch(batch, topic, partition=partition))
                    batch = producer.create_batch()
                    batch.append(timestamp=None, key=key, value=value)
            sent.append(await producer.send_batch(batch, topic, partition=partition))
        return sent


class Windows(NamedTuple):
    """Counts by cell and window of three sizes, rupiah by cycle, and how far each partition was read."""

    minute: _Kept
    hour: _Kept
    day: _Kept
    cycle: _Kept
    position: _Kept

    async def written(self) -> None:
        """Returns when Kafka has every change so far. Raises what refused one."""
        producer = cast("Any", self.minute.app.producer)._ensure_producer()
        await asyncio.gather(*[future for table in self for future in await table.send(producer)])

    def expire(self) -> int:
        """Forgets windows that take no event any more, by the time of their own partition. Returns how many."""
        newest = {place: cast("Position", position)["t"] for place, position in self.position.items()}
        forgotten = 0
        for name, size_s in SIZES.items():
            table: _Kept = getattr(self, name)
            old = [
                (cell, window)
                for cell, window in table
                if expired(int(window[0]), newest.get(place_of(cell_of(cell)), 0), size_s)
            ]
            for key in old:
                del table[key]
            forgotten += len(old)
        return forgotten


def place_of(cell: Cell) -> str:
    return f"{cell.topic}|{cell.partition}"


def window(size_s: int) -> TumblingWindow:
    return TumblingWindow(float(size_s), expires=float(EXPIRES_S[size_s]))


def make(app: faust.App, partitions: int) -> Windows:
    """The tables of this app. Their changelog topics are made beforehand, from the table of topics."""
    made: list[_Kept] = []
    for name in Windows._fields:
        table = _Kept(app, name=name, partitions=partitions)
        assert table.changelog_topic_name in CHANGELOGS, table.changelog_topic_name
        app.tables.add(table)
        made.append(table)
    return Windows(*made)
