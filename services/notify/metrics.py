"""What this service counts beyond what every process does."""

from prometheus_client import Counter, Gauge, Histogram

MOVED = Counter("salur_messages_moved", "Messages that came into a state", ["channel", "state"])
WAITING = Gauge("salur_messages_waiting", "Messages that wait to be sent, counted up to 10,000", ["channel"])
OVERDUE_SECONDS = Gauge("salur_messages_overdue_seconds", "Seconds since the oldest of them was due", ["channel"])
ANSWERS = Counter("salur_carrier_answers", "Answers to sends", ["channel", "verdict", "code"])
SEND_SECONDS = Histogram(
    "salur_carrier_send_seconds",
    "Seconds until the carrier answered",
    ["channel"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
WEBHOOK_STATUSES = Counter("salur_webhook_statuses", "Statuses in webhooks that were taken", ["status"])
UNEXPECTED = Counter("salur_webhook_unexpected", "What webhooks held that is not ours or was refused", ["what"])
IN_FLIGHT = Gauge("salur_carrier_in_flight", "Sends without an answer yet", ["channel"])
