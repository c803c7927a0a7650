"""What stands in a broker's `server.properties`."""

from collections.abc import Mapping
from pathlib import Path

from salur.stack.ports import LOOPBACK
from shared.brokers import MESSAGE_BYTES_MAX, in_sync_min

Properties = dict[str, str | int]


def properties(node_id: int, address: str, controllers: Mapping[int, int], data: Path) -> Properties:
    """For the broker `node_id`, which clients reach at `address`.

    `controllers` are the ports of all nodes' controllers; as many as they are is every topic replicated.
    """
    replication = len(controllers)
    return {
        "process.roles": "broker,controller",
        "node.id": node_id,
        "controller.quorum.voters": voters(controllers),
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "listeners": f"PLAINTEXT://{address},CONTROLLER://{LOOPBACK}:{controllers[node_id]}",
        "advertised.listeners": f"PLAINTEXT://{address}",
        "log.dirs": str(data),
        "auto.create.topics.enable": "false",
        "num.partitions": 8,  # of topics that others make; Salur states its own
        "message.max.bytes": MESSAGE_BYTES_MAX,
        "replica.fetch.max.bytes": MESSAGE_BYTES_MAX,
        **_replication(replication),
        "offsets.topic.num.partitions": 8,
        "offsets.retention.minutes": 365 * 24 * 60,  # lag tools should still see a group that slept
        "transaction.state.log.num.partitions": 8,
        "group.initial.rebalance.delay.ms": 0,
        # A killed broker is let in again only when its old session is over; the default of 9 s is a long wait.
        "broker.session.timeout.ms": 4000,
        "broker.heartbeat.interval.ms": 500,
        # The defaults below are for big machines: 128 MB for the cleaner alone, 10 MB for each index.
        "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,
        "log.segment.bytes": 256 * 1024 * 1024,
        "log.index.size.max.bytes": 2 * 1024 * 1024,
    }


def voters(controllers: Mapping[int, int]) -> str:
    return ",".join(f"{node}@{LOOPBACK}:{port}" for node, port in controllers.items())


def _replication(replication: int) -> Properties:
    """What was acknowledged outlives the loss of one of three brokers, in Kafka's own topics too."""
    in_sync = in_sync_min(replication)
    return {
        "default.replication.factor": replication,
        "min.insync.replicas": in_sync,
        "unclean.leader.election.enable": "false",
        "offsets.topic.replication.factor": replication,
        "transaction.state.log.replication.factor": replication,
        "transaction.state.log.min.isr": in_sync,
        "share.coordinator.state.topic.replication.factor": replication,
        "share.coordinator.state.topic.min.isr": in_sync,
    }
