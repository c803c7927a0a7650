"""Which service talks to what, so that each of these connections can be disturbed alone."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

SERVICES = ("registry", "eligibility", "payout", "notify", "portal")
INSTANCES = 2
"""Of each service, so that partitions move from one to the other."""
MONITOR = "monitor"
"""Runs once: a second instance would only stand by."""
_OUTSIDE: Mapping[str, tuple[str, ...]] = {"payout": ("bank",), "notify": ("carrier",)}


class Link(NamedTuple):
    """All connections from one instance of a service to one other program: `registry-0` to `kafka-2`."""

    owner: str
    far: str

    @property
    def name(self) -> str:
        return f"{self.owner}/{self.far}"

    @property
    def port_name(self) -> str:
        """Where the owner connects to, in the stack's book of ports."""
        return f"proxy-{self.owner}-{self.far}"

    @property
    def target_name(self) -> str:
        """Where that leads, in the stack's book of ports.

        A broker tells its clients where to connect to, so each owner has a listener of its own, which tells the
        proxy's address.
        """
        if self.far.startswith("kafka"):
            return f"listener-{self.owner}-{self.far}"
        return "postgres" if self.far == "postgres" else f"{self.far}-0"


def owners() -> tuple[str, ...]:
    scaled = (f"{service}-{instance}" for service in SERVICES for instance in range(INSTANCES))
    return (*scaled, f"{MONITOR}-0")


def brokers_of(count: int) -> tuple[str, ...]:
    return tuple(f"kafka-{number}" for number in range(count))


def links_of(owner: str, brokers: int) -> Iterator[Link]:
    service = owner.rpartition("-")[0]
    for far in (*brokers_of(brokers), "postgres", *_OUTSIDE.get(service, ())):
        yield Link(owner, far)


def every_link(brokers: int) -> tuple[Link, ...]:
    return tuple(link for owner in owners() for link in links_of(owner, brokers))
