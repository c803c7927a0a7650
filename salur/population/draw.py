"""Randomness that gives the same values everywhere: only `Random.random`, plain arithmetic and no hash order."""

import hashlib
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from math import gcd
from random import Random
from typing import Generic, TypeVar

T = TypeVar("T")


class Weighted(Generic[T]):
    """Values with weights, prepared for `Draw.weighted`."""

    __slots__ = ("bounds", "values")

    def __init__(self, weights: Mapping[T, float]) -> None:
        self.values = tuple(weights)
        self.bounds = tuple(accumulate(weights.values()))


class Draw:
    """One stream of random values, fixed by `seed` and `path` (such as a family's number)."""

    __slots__ = ("random",)

    def __init__(self, seed: int, *path: int | str) -> None:
        digest = hashlib.blake2b(repr((seed, *path)).encode(), digest_size=16).digest()
        self.random = Random(int.from_bytes(digest, "big")).random

    def chance(self, share: float) -> bool:
        return self.random() < share

    def below(self, bound: int) -> int:
        """An integer in 0..bound-1."""
        return int(self.random() * bound)

    def between(self, first: int, last: int) -> int:
        """An integer in first..last, both included."""
        return first + int(self.random() * (last - first + 1))

    def pick(self, values: Sequence[T]) -> T:
        return values[int(self.random() * len(values))]

    def weighted(self, choice: Weighted[T]) -> T:
        bounds = choice.bounds
        return choice.values[min(bisect_right(bounds, self.random() * bounds[-1]), len(bounds) - 1)]


class Scatter:
    """A random-looking one-to-one map of 0..size-1 onto itself, so that numbers are unique without a list of them."""

    __slots__ = ("offset", "size", "step")

    def __init__(self, seed: int, label: str, size: int) -> None:
        draw = Draw(seed, "scatter", label)
        self.size = size
        self.offset = draw.below(size)
        self.step = draw.between(size // 3, size // 3 * 2)
        while gcd(self.step, size) != 1:
            self.step += 1

    def __getitem__(self, index: int) -> int:
        return (self.offset + index * self.step) % self.size


class Calendar:
    """Gives each number 0..`Calendar.SIZE`-1 its own (serial, day of the year), spread evenly over both.

    A NIK or No. KK carries a date and a serial of four digits. Who has another serial or another day has another
    number, whatever district and year are, so uniqueness needs no memory of what was given out.
    """

    SERIALS = 3333
    DAYS = 365
    SIZE = SERIALS * DAYS

    __slots__ = ("_scatter", "_turns")

    def __init__(self, seed: int, label: str) -> None:
        self._scatter = Scatter(seed, label, self.SIZE)
        draw = Draw(seed, "turns", label)
        self._turns = tuple(draw.below(self.DAYS) for _ in range(self.SERIALS))

    def place(self, index: int) -> tuple[int, int]:
        """(serial 1..3333, day of a common year 0..364)."""
        day, serial = divmod(self._scatter[index], self.SERIALS)
        return serial + 1, (day + self._turns[serial]) % self.DAYS
