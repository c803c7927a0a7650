"""How much of an outbox waits, while Kafka is away."""

import asyncpg
import pytest
from prometheus_client import REGISTRY

from services.payout.settings import PayoutSettings
from shared.errors import Trouble
from shared.postgres import migrate, open_pool
from shared.runtime import publisher as publishing
from shared.runtime.publisher import Publisher


def rows_told() -> float | None:
    return REGISTRY.get_sample_value("salur_outbox_rows", {"service": "payout"})


async def fill(pool: asyncpg.Pool, first: int, last: int) -> None:
    """Rows of these sequences, over four partitions."""
    places = "SELECT 'payout.ordered', generate_series(0, 3)"
    await pool.execute(f"INSERT INTO output_position (topic, partition) {places} ON CONFLICT DO NOTHING")
    query = r"INSERT INTO outbox SELECT 'payout.ordered', n % 4, n, 1, '\x' FROM generate_series($1::int, $2) AS n"
    await pool.execute(query, first, last)


async def test_what_waits_is_counted_beyond_one_round(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    await migrate(database, "payout")
    pool = await open_pool(database, "payout")
    settings = PayoutSettings(kafka="127.0.0.1:9", kafka_security_protocol="PLAINTEXT", postgres=database)
    publisher = Publisher("payout", pool, settings)
    publisher.own(frozenset({0, 1}))
    await fill(pool, 1, 300)
    with pytest.raises(Trouble):
        await publisher.publish_some()
    assert rows_told() == 150
    await pool.execute("DELETE FROM outbox WHERE first_sequence > 40")
    with pytest.raises(Trouble):
        await publisher.publish_some()
    assert rows_told() == 20
    await fill(pool, 301, 500)
    monkeypatch.setattr(publishing, "COUNT_MAX", 100)
    publisher._count_at = 0.0
    with pytest.raises(Trouble):
        await publisher.publish_some()
    assert rows_told() == 100
    publisher.own(frozenset())
    await publisher.publish_some()
    assert rows_told() == 0
    await publisher.close()
    pool.terminate()
