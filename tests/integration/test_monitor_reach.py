"""What Kafka itself says of a message that the monitor's reader never gives."""

import asyncio
from uuid import uuid4

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.records_to_delete import RecordsToDelete

from services.monitor.intake import Reach
from shared.settings import KafkaSettings


async def test_a_message_is_held_or_was_deleted_or_was_never_one(kafka: str) -> None:
    place = TopicPartition(f"reach-{uuid4().hex}", 0)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    reach = Reach(KafkaSettings(kafka=kafka))
    try:
        await admin.create_topics([NewTopic(place.topic, 1, 1)])
        async with AIOKafkaProducer(bootstrap_servers=kafka) as producer:
            for _ in range(3):
                await producer.send_and_wait(place.topic, b"{}", partition=0)
        foreign = AIOKafkaProducer(bootstrap_servers=kafka, transactional_id=uuid4().hex)
        async with foreign, foreign.transaction():
            await foreign.send_and_wait(place.topic, b"{}", partition=0)  # offset 3
        while (await reach.ends([place.topic], 1))[place] < 5:  # 4 says where the transaction ends
            await asyncio.sleep(0.05)
        async with AIOKafkaProducer(bootstrap_servers=kafka) as producer:
            await producer.send_and_wait(place.topic, b"{}", partition=0)
        assert [await reach.first(place, offset) for offset in (0, 2, 3, 4, 5)] == [0, 2, 3, 5, 5]
        assert await reach.first(place, 6) is None
        await admin.delete_records({place: RecordsToDelete(before_offset=2)})
        assert await reach.first(place, 0) == 2
        assert await reach.ends([place.topic], 1) == {place: 6}
    finally:
        await reach.close()
        await admin.close()
