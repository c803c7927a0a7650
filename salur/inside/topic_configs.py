"""Kafka's own settings of topics, as they are now."""

from collections.abc import Collection, Iterable

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from shared.kafka import in_time

Configs = dict[str, str]


async def configs_of(client: AIOKafkaAdminClient, topics: Collection[str], keys: Iterable[str]) -> dict[str, Configs]:
    """The values of these keys by topic; a topic whose settings this user may not see is left out."""
    if not topics:
        return {}
    asked = dict.fromkeys(keys)
    found: dict[str, Configs] = {}
    resources = [ConfigResource(ConfigResourceType.TOPIC, name, asked) for name in topics]
    for answer in await in_time(client.describe_configs(resources)):
        for error_code, _, _, name, entries in answer.resources:
            if error_code == 0:
                found[name] = {entry[0]: entry[1] for entry in entries}
    return found
