"""The order of arrival: a shuffle with bounded memory."""

import heapq
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Arrivals(Generic[T]):
    """Holds what was sent and has not arrived yet, in order of time; ties keep the order of sending."""

    __slots__ = ("_heap", "_sent")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, T]] = []
        self._sent = 0

    def __len__(self) -> int:
        return len(self._heap)

    def send(self, at: float, item: T) -> None:
        heapq.heappush(self._heap, (at, self._sent, item))
        self._sent += 1

    def arrived(self, now: float) -> Iterator[T]:
        """Take out, in order, what arrives at `now` or before. Nothing may be sent for an earlier time after that."""
        while self._heap and self._heap[0][0] <= now:
            yield heapq.heappop(self._heap)[2]
