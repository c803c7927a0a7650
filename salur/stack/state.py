"""What a stack should be (`wanted.json`, written by `up`) and what it is (`state.json`, written by its supervisor)."""

import hashlib
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from signal import Signals
from typing import Self

from pydantic import BaseModel, Field

from salur.stack.home import write_private
from salur.stack.process import Identity, stop


class ProcessState(StrEnum):
    """How a process of the stack is doing."""

    WAITING = "waiting"
    """for what it depends on"""
    STARTING = "starting"
    READY = "ready"
    UNREADY = "unready"
    """it runs and was ready once, but does not say so now"""
    RESTARTING = "restarting"
    """it ended by itself: from its end until it is ready again"""
    STOPPING = "stopping"
    DEAD = "dead"
    """it ended and no supervisor is there to start it again"""


class _Document(BaseModel):
    @classmethod
    def load(cls, path: Path) -> Self | None:
        """The document in `path`; None where there is none."""
        try:
            return cls.model_validate_json(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None

    def save(self, path: Path) -> None:
        write_private(path, self.model_dump_json(indent=1))


class Wanted(_Document):
    """The stack as its user asked for it; remembered over `down` and `up`."""

    revision: int = 0
    table: str = "salur.stack.programs:PROGRAMS"
    """where the table of programs stands: module:name"""
    scale: dict[str, int] = Field(default_factory=dict)
    options: dict[str, dict[str, str]] = Field(default_factory=dict)
    """more `--option value` for a program"""
    brokers: int = 1
    """of the embedded Kafka"""
    kafka: str | None = None
    """a given Kafka that replaces the embedded one; None: embedded"""
    kafka_access: dict[str, str] = Field(default_factory=dict)
    """the variables by which the given Kafka lets its clients in"""
    postgres: str | None = None
    keys: str | None = None


class Record(BaseModel):
    """One instance of one program."""

    name: str
    instance: int
    state: ProcessState = ProcessState.WAITING
    pid: int | None = None
    created_s: float | None = None
    port: int | None = None
    version: str = ""
    since: datetime | None = None
    restarts: int = 0
    crashes: int = 0
    """ends since it was ready for a while; what the back-off grows with"""
    failure: str | None = None
    fingerprint: str = ""
    stop_rank: int = 0
    stop_signal: int = 15
    grace_s: float = 10

    @property
    def identity(self) -> Identity | None:
        return Identity(self.pid, self.created_s) if self.pid is not None and self.created_s is not None else None

    def end(self) -> None:
        """Ends the process, by force after its time of grace. Blocks until it is gone."""
        stop(self.identity, first=Signals(self.stop_signal), grace_s=self.grace_s)


class State(_Document):
    """The stack as its supervisor sees it."""

    revision: int = -1
    """of the `Wanted` that was taken up"""
    kafka: str | None = None
    postgres: str | None = None
    """without its password"""
    processes: list[Record] = Field(default_factory=list)

    def ready(self) -> bool:
        return all(record.state == ProcessState.READY for record in self.processes)


def fingerprint(argv: tuple[str, ...], env: dict[str, str]) -> str:
    """Changes when a process has to be replaced to be what is wanted."""
    text = "\0".join((*argv, *(f"{name}={value}" for name, value in sorted(env.items()))))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
