"""How many bytes a topic takes on its brokers' disks: the request DescribeLogDirs, which aiokafka has not."""

from typing import Any, TypeAlias

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Int64, Schema, String

from shared.kafka import in_time

_TEXT = String("utf-8")


class DescribeLogDirsResponse_v1(Response):  # type: ignore[misc]  # noqa: N801 - as aiokafka names them
    """Kafka's DescribeLogDirs, version 1: the last one without tagged fields, and still served by Kafka 4."""

    API_KEY = 35
    API_VERSION = 1
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "results",
            Array(
                ("error_code", Int16),
                ("log_dir", _TEXT),
                (
                    "topics",
                    Array(
                        ("name", _TEXT),
                        (
                            "partitions",
                            Array(
                                ("partition_index", Int32),
                                ("partition_size", Int64),
                                ("offset_lag", Int64),
                                ("is_future_key", Boolean),
                            ),
                        ),
                    ),
                ),
            ),
        ),
    )


class DescribeLogDirsRequest_v1(RequestStruct):  # type: ignore[misc]  # noqa: N801
    """Asks about all partitions."""

    API_KEY = 35
    API_VERSION = 1
    RESPONSE_TYPE = DescribeLogDirsResponse_v1
    SCHEMA = Schema(("topics", Array(("topic", _TEXT), ("partitions", Array(Int32)))))


_Struct: TypeAlias = DescribeLogDirsRequest_v1


class DescribeLogDirsRequest(Request[_Struct]):  # type: ignore[misc]
    """Which version is sent is negotiated; there is one."""

    API_KEY = 35

    def build(self, request_struct_class: Any) -> Any:
        return request_struct_class(topics=None)


async def topic_bytes(client: AIOKafkaAdminClient) -> dict[str, int] | None:
    """Bytes of each topic on the disks of all brokers, replicas and indexes included as Kafka counts them.

    None where a broker does not say: it is too old or too new for this request, or this user may not ask.
    """
    total: dict[str, int] = {}
    try:
        cluster = await in_time(client.describe_cluster())
        for broker in cluster["brokers"]:
            answer = await in_time(client._send_request_to_node(broker["node_id"], DescribeLogDirsRequest()))
            for result in answer.to_object()["results"]:
                if result["error_code"]:
                    return None
                for topic in result["topics"]:
                    size = sum(partition["partition_size"] for partition in topic["partitions"])
                    total[topic["name"]] = total.get(topic["name"], 0) + size
    except (KafkaError, NotImplementedError):
        return None
    return total
