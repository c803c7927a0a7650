"""What brokers and topics must agree on, so that an acknowledged message outlives the loss of one broker."""

from typing import Final

MESSAGE_BYTES_MAX: Final = 2_097_152
"""Of one record batch, as Kafka counts. Publishers make batches of less than half of it."""


def in_sync_min(replication: int) -> int:
    """How many replicas must hold a message before it is acknowledged: all but one.

    Of three that is two: the flow goes on while one broker is away, and what was acknowledged is on another.
    """
    return max(1, replication - 1)
