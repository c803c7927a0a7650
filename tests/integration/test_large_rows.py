"""Large events that wait for Kafka wait in the database: the publisher holds only so many bytes of them."""

from pathlib import Path

import pytest

from shared.events import RecipientRegistered
from shared.postgres import migrate, open_pool
from shared.privacy import Keyring, keyfile
from shared.runtime.emit import Outbox
from shared.runtime.publisher import BYTES_IN_MEMORY_MAX, Publisher
from shared.settings import ServiceSettings
from tests.integration import toy as toys
from tests.integration.toy import TOPICS, accepted, empty_topics, registrations

EVENTS, EACH_BYTES = 60, 450_000


@pytest.fixture
async def settings(kafka: str, database: str, tmp_path: Path) -> ServiceSettings:
    keyfile.create(tmp_path / "keys.json")
    made = toys.settings_for(kafka, database, tmp_path / "keys.json")
    await empty_topics(made, TOPICS)
    return made


async def test_what_waits_to_be_published_is_bounded_and_all_of_it_leaves(settings: ServiceSettings) -> None:
    keyring, url = Keyring.load(settings.keys), settings.url("registry")
    await migrate(url, "registry")
    pool = await open_pool(url, "registry")
    publisher = Publisher("registry", pool, settings)
    publisher.own(frozenset(range(settings.partitions)))
    outbox = Outbox("registry", pool, settings.partitions, committed=publisher.offer)
    largest = 0
    for event in registrations(EVENTS):
        box = keyring.seal("eligibility", bytes(EACH_BYTES), recipient=event.subject, schema="eligibility/1")
        async with outbox.transaction() as transaction:
            transaction.emit([event.model_copy(update={"data": event.data.model_copy(update={"eligibility": box})})])
        largest = max(largest, len(box))
        assert publisher._fresh_bytes < BYTES_IN_MEMORY_MAX + 2 * EACH_BYTES
    assert EVENTS * largest > 2 * BYTES_IN_MEMORY_MAX, "else nothing is shown"
    rows = await publisher._from_database()
    assert sum(len(row.payload) for row in rows) < BYTES_IN_MEMORY_MAX + 2 * EACH_BYTES
    assert rows
    await publisher.drain()
    assert len(await accepted(settings, "recipient.registered", RecipientRegistered)) == EVENTS
    await publisher.close()
    await pool.close()
