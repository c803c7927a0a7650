"""Keeps one real event of every type as a release writes it: `python -m tests.contract.record_events [HOME]`.

Run it once when a release is made, on the stack of a demo of that release, together with copying its schemas to
`docs/contract/released`. Later releases must read what lies here; it is never written anew.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from aiokafka import TopicPartition

from salur.contract.files import CONTRACT_VERSION
from salur.contract.schemas import file_name
from salur.inside.connect import admin, consumer
from salur.intake import find_kafka
from salur.stack.home import Home
from shared.events.model import Data
from shared.events.topics import MODELS, topic_named
from shared.reading import extents, read
from shared.settings import KafkaSettings

FOLDER = Path(__file__).parent / "released_events"
MESSAGES_MAX = 2000
"""So many are looked at of each partition."""


def said(value: Any) -> int:
    """How many values an event states: of several, the one that says most is kept."""
    if isinstance(value, dict):
        return sum(map(said, value.values()))
    return sum(map(said, value)) if isinstance(value, list) else 1


async def recorded(settings: KafkaSettings) -> dict[str, bytes]:
    """By file name: the bytes of one event of each type, exactly as they came from Kafka."""
    kept: dict[str, bytes] = {}
    async with admin(settings) as broker, consumer(settings) as client:
        for described in await broker.describe_topics():
            model = _model(described["topic"])
            if model is None:
                continue
            places = [TopicPartition(described["topic"], p["partition"]) for p in described["partitions"]]
            ends = {
                tp: extent._replace(end=min(extent.end, extent.start + MESSAGES_MAX))
                for tp, extent in (await extents(client, places)).items()
            }
            async for _, records in read(client, ends):
                events = [record.value for record in records if record.value.startswith(b"{")]
                before = kept.get(file_name(model), b"{}")
                kept[file_name(model)] = max(before, *events, key=lambda raw: said(json.loads(raw)))
    return kept


def _model(topic: str) -> type[Data] | None:
    try:
        return topic_named(topic).model
    except KeyError:
        return None


def main(home: Home) -> None:
    found = asyncio.run(recorded(find_kafka(home)))
    folder = FOLDER / CONTRACT_VERSION
    folder.mkdir(parents=True)
    for name, raw in found.items():
        (folder / name).write_bytes(raw)
    missing = sorted({file_name(model) for model in MODELS.values()} - found.keys())
    sys.stdout.write(f"{len(found)} events in {folder}; no event of: {', '.join(missing) or 'none is missing'}\n")


if __name__ == "__main__":
    main(Home.at(sys.argv[1] if len(sys.argv) > 1 else None))
