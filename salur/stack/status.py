"""What runs now, for `salur status` and for commands that need a running stack's addresses."""

import asyncio
import os
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from salur.stack.home import Home
from salur.stack.lag import lags
from salur.stack.locks import holder_of
from salur.stack.process import alive, memory_bytes
from salur.stack.programs import STOP_SERVICES, Context
from salur.stack.state import ProcessState, Record, State, Wanted
from shared.errors import SalurError
from shared.settings import KafkaSettings


class NotUp(SalurError):
    """No stack runs at this home."""


class ProcessStatus(BaseModel):
    """One instance, as `salur status --json` shows it."""

    name: str
    instance: int
    pid: int | None
    port: int | None
    state: ProcessState
    restarts: int
    version: str
    since: datetime | None
    memory_bytes: int | None
    lag: int | None
    """of the whole service, shown with each of its instances"""
    failure: str | None


class Status(BaseModel):
    """The document that `salur status --json` prints."""

    model_config = ConfigDict(frozen=True)

    kafka: str | None
    postgres: str | None
    """without its password"""
    supervisor: int | None
    """its pid; None when it is dead: processes go on but none is started again"""
    processes: list[ProcessStatus]

    @property
    def healthy(self) -> bool:
        ready = all(process.state == ProcessState.READY for process in self.processes)
        return bool(self.processes) and self.supervisor is not None and ready


def status(home: Home, *, with_lag: bool = True) -> Status:
    """Reads what the supervisor wrote, and looks at the processes themselves where it is dead."""
    state, context = State.load(home.state) or State(), _context(home)
    holder = holder_of(home.supervisor_lock)
    services = sorted({r.name for r in state.processes if r.stop_rank == STOP_SERVICES})
    lag: dict[str, int | None] = {}
    if with_lag and services and state.kafka:
        lag = asyncio.run(lags(context.kafka_settings(), services))
    order = {name: place for place, name in enumerate(context.programs)}
    processes = [_one(record, supervised=holder is not None, lag=lag.get(record.name)) for record in state.processes]
    return Status(
        kafka=state.kafka if processes else None,
        postgres=state.postgres if processes else None,
        supervisor=holder.pid if holder else None,
        processes=sorted(processes, key=lambda p: (order.get(p.name, len(order)), p.instance)),
    )


def environment(home: Home) -> dict[str, str]:
    """SALUR_KAFKA and how it lets clients in, SALUR_POSTGRES (with its password) and SALUR_KEYS of the stack at `home`.

    What the environment of this process gives comes first. Raises NotUp when neither says where they are.
    """
    context = _context(home)
    given = {name: os.environ[name] for name in ("SALUR_KAFKA", "SALUR_POSTGRES", "SALUR_KEYS") if os.environ.get(name)}
    if not home.wanted.exists() and len(given) < 3:
        raise NotUp(f"there is no stack at {home.root}", hint="start it with `salur up`")
    kafka, postgres = context.addresses()
    keys = context.wanted.keys or str(home.keys)
    found = {"SALUR_POSTGRES": postgres, "SALUR_KEYS": keys, "SALUR_HOME": str(home.root)}
    if "SALUR_KAFKA" in given:
        found |= KafkaSettings().environment()
    elif kafka:
        found |= context.kafka_settings().environment()
    return {name: value for name, value in found.items() if value} | given


def _context(home: Home) -> Context:
    return Context(home, Wanted.load(home.wanted) or Wanted())


def _one(record: Record, *, supervised: bool, lag: int | None) -> ProcessStatus:
    runs = alive(record.identity)
    state = record.state if supervised or runs else ProcessState.DEAD
    return ProcessStatus(
        name=record.name,
        instance=record.instance,
        pid=record.pid if runs else None,
        port=record.port,
        state=state,
        restarts=record.restarts,
        version=record.version,
        since=record.since,
        memory_bytes=memory_bytes(record.identity) if runs and record.identity else None,
        lag=lag,
        failure=record.failure,
    )
