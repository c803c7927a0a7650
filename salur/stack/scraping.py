"""Where Prometheus finds the processes of a running stack."""

from typing import TypedDict

from salur.stack.home import Home
from salur.stack.ports import LOOPBACK
from salur.stack.programs import STOP_SERVICES, STOP_SIMULATORS
from salur.stack.state import State
from salur.stack.status import NotUp


class Target(TypedDict):
    """One group of Prometheus' file-based discovery."""

    targets: list[str]
    labels: dict[str, str]


_JOBS = {STOP_SERVICES: "salur", STOP_SIMULATORS: "simulators"}


def targets(home: Home) -> list[Target]:
    """Every process that tells its metrics over HTTP, also one that is down just now. Raises NotUp.

    Kafka and PostgreSQL have no such endpoint, nor has the supervisor.
    """
    state = State.load(home.state) or State()
    if not state.processes:
        raise NotUp(f"there is no stack at {home.root}", hint="start it with `salur up`")
    found = sorted((r for r in state.processes if r.stop_rank in _JOBS and r.port), key=lambda r: (r.name, r.instance))
    return [
        Target(targets=[f"{LOOPBACK}:{r.port}"], labels={"job": _JOBS[r.stop_rank], "process": r.name}) for r in found
    ]
