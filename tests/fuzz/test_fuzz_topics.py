"""Each service, as a process, gets junk of every kind between good messages: nothing is lost and nothing stops."""

from collections import Counter
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from shared.events import DeadLetter
from shared.events.codec import decode
from shared.events.topics import STAGES, Service, dead_letter_topic, outputs_of
from shared.kafka import admin, ensure_topics
from shared.privacy import Keyring, keyfile
from shared.runtime.deadletter import Poison
from shared.runtime.turn import decoded
from shared.settings import ServiceSettings
from tests.fuzz.messages import PERSONAL, Made
from tests.fuzz.running import Writer, mixed, service, through
from tests.fuzz.stages import Fuzzed, fuzzed
from tests.integration.toy import empty_topics, reader, settings_for

JUNK, SEED = 500, 4
Place = tuple[str, int, int]


async def new_topics(settings: ServiceSettings, of: Fuzzed) -> None:
    await empty_topics(settings)
    intake = {name for name in of.topics if ".submitted." in name}
    async with admin(settings) as client:
        if old := intake & set(await client.list_topics()):
            await client.delete_topics(sorted(old))
    await ensure_topics(settings, {*of.topics, *outputs_of(of.service)})


COUNTED = tuple(stage for stage in STAGES if stage != "portal")
"""The portal reads the dead letters of all stages, its own too: what it handled is not what was written here."""


@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", COUNTED)
async def test_every_message_is_accounted_for(name: Service, kafka: str, database: str, tmp_path: Path) -> None:
    settings = settings_for(kafka, database, tmp_path / "keys.json")
    keyfile.create(settings.keys)
    of = fuzzed(name, Keyring.load(settings.keys), tmp_path, SEED)
    await new_topics(settings, of)
    writer = Writer(settings, SEED, keep=True)
    writer.write(mixed(of, 0, JUNK))
    async with service(of, settings, tmp_path) as process:
        await through(of, settings, writer, process, 60)
        handled, poisoned = [await process.counted(f"salur_events_{what}_total") for what in ("in", "poisoned")]
        metrics = await process.text("/metrics")
    dead, spoken = await _told(settings, of)
    assert handled == writer.total, "each message was handled once"
    assert poisoned == len(dead), "each poison message has one dead letter"
    assert dead.keys() <= writer.written.keys()
    connection = await asyncpg.connect(settings.url(name))
    try:
        done = {row[0] for row in await connection.fetch(of.handled)}
        answers: dict[str, str] = {}
        if name == "registry":
            answers = dict(await connection.fetch("SELECT id, answer FROM registry.submission WHERE source = 'polman'"))
    finally:
        await connection.close()
    good = {made.key.decode() for made in writer.written.values() if made.kind == "good" and made.key}
    assert len(good) > JUNK // 2
    assert good <= done
    wrong = Counter(
        (made.kind, made.fate)
        for place, made in writer.written.items()
        if not _right(of, place, made, place in dead, answers)
    )
    assert not wrong, wrong
    log = process.log.read_text()
    if name == "eligibility":
        assert 'code="key_missing"' in metrics, "a key id that nobody gave out is waited for once, then given up"
    for secret in PERSONAL:
        assert secret not in log
        assert secret not in metrics
        assert secret.encode() not in spoken


def _right(of: Fuzzed, place: Place, made: Made, is_dead: bool, answers: dict[str, str]) -> bool:
    if made.fate == "dead":
        return is_dead
    if made.fate == "good":
        return not is_dead
    if is_dead:
        return made.fate == "any"
    event = decoded(place[0], made.value, of.inputs)
    if isinstance(event, Poison):
        return False  # what nobody can read was swallowed
    if of.service != "registry":
        return True
    if place[0].startswith("replay.") and event.source != "polman":
        return True  # answered under the name it gave itself
    answer = answers.get(event.id)
    return answer == "rejected" if made.fate == "rejected" else answer is not None


async def _told(settings: ServiceSettings, of: Fuzzed) -> tuple[dict[Place, Any], bytes]:
    """Dead letters by origin, and everything that the service published, as it stands on its topics."""
    dead: dict[Place, Any] = {}
    spoken = bytearray()
    for topic in outputs_of(of.service):
        async with reader(settings, topic) as records:
            for record in records:
                spoken += b"%b\n%b\n" % (record.key or b"", record.value or b"")
                if topic == dead_letter_topic(of.service):
                    data = decode(DeadLetter, record.value).data
                    origin = (data.origin.topic, data.origin.partition, data.origin.offset)
                    assert origin not in dead, "told twice"
                    assert data.code
                    assert data.reason
                    dead[origin] = data
    return dead, bytes(spoken)
