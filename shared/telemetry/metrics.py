"""What every process counts, for Prometheus."""

from collections import Counter as Tally
from collections.abc import Iterable
from typing import Any

from prometheus_client import Counter, Gauge, Histogram

from shared.events.envelope import Event


class _EventsOut:
    """Events committed, and apart from them those by which the business said no."""

    def __init__(self) -> None:
        self._out = Counter("salur_events_out", "Events committed to the outbox", ["service", "type"])
        self._rejected = Counter("salur_events_rejected", "Rejections: the business said no", ["service", "type"])

    def announce(self, service: str, types: Iterable[str]) -> None:
        """From now on these stand at zero: the first event of a type is then seen as an increase."""
        for kind in types:
            self._out.labels(service, kind)

    def count(self, service: str, events: Iterable[Event[Any]]) -> None:
        for kind, count in Tally(event.type for event in events).items():
            self._out.labels(service, kind).inc(count)
            if kind.endswith(".rejected"):
                self._rejected.labels(service, kind).inc(count)


EVENTS_OUT = _EventsOut()
EVENTS_IN = Counter("salur_events_in", "Messages handled", ["service", "topic"])
POISONED = Counter("salur_events_poisoned", "Messages put into the dead letters", ["service", "topic", "code"])
REPUBLISHED = Counter("salur_republications_dropped", "Messages seen before, by their sequence", ["service"])
BATCH_MESSAGES = Histogram(
    "salur_batch_messages", "Messages a turn", ["service"], buckets=(1, 10, 50, 100, 250, 500, 1000, 2000, 5000)
)
BATCH_SECONDS = Histogram(
    "salur_batch_seconds", "Seconds a turn", ["service"], buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
)
LAG_MESSAGES = Gauge("salur_lag_messages", "Messages not yet handled", ["service", "topic", "partition"])
LAG_SECONDS = Gauge(
    "salur_lag_seconds", "Age of the message handled last; 0 once all are handled", ["service", "topic", "partition"]
)
OUTBOX_DEPTH = Gauge(
    "salur_outbox_rows", "Outbox rows of the owned partitions that wait for Kafka, counted up to 10,000", ["service"]
)
STOPPED = Gauge("salur_partition_stopped", "1: a sequence gap stopped it", ["service", "topic", "partition"])
BREAKER_OPEN = Gauge("salur_breaker_open", "1: too large a share was poison, the stage stands", ["service"])
KEY_AWAITED = Gauge("salur_key_awaited", "1: partitions wait for this key", ["service", "key_id"])
TROUBLES = Counter("salur_troubles", "Database, broker or outside system was away", ["service", "where"])
WORKER_ROWS = Counter("salur_worker_rows", "Rows that a worker has moved on", ["service", "worker"])
