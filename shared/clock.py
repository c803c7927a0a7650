"""The one clock. Handlers get their time handed in; only the runtime, workers and endpoints ask."""

from datetime import UTC, datetime


def now() -> datetime:
    return datetime.now(UTC)
