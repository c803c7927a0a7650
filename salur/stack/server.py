"""What the embedded Kafka and PostgreSQL have in common: prepared, started, waited for, stopped, found again."""

import os
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, NamedTuple

from salur.stack.home import Home, read_json, write_private
from salur.stack.locks import hold
from salur.stack.process import Identity, alive, mark, spawn, stop, tail
from shared.errors import SalurError


class DidNotStart(SalurError):
    """A server ended or did not answer in time; the text has the last lines of its log."""


class Command(NamedTuple):
    """A program to start. `env` is added to this process's own environment."""

    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str] = {}


class Server(ABC):
    """One server whose data lies under a stack's home. `prepare`, `command` and `ready` are all a supervisor needs;
    `start` and `stop` are for those who want the server alone.
    """

    name: ClassVar[str]
    version: str
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    grace_s: ClassVar[float] = 20

    def __init__(self, home: Path | str) -> None:
        self.home = Home.at(home)
        self.instance = 0

    @property
    @abstractmethod
    def address(self) -> str:
        """What a client needs to reach the server; the same before and after a restart."""

    @property
    @abstractmethod
    def port(self) -> int: ...

    @abstractmethod
    def prepare(self) -> None:
        """Does what must be done before each start, and once before the first. The server must not be running."""

    @abstractmethod
    def command(self) -> Command:
        """What to start, after `prepare`."""

    @abstractmethod
    def ready(self) -> bool:
        """Whether clients are served now. Never raises for a server that is not there."""

    def running(self) -> Identity | None:
        """The server's process that `start` left running, whoever called it."""
        found = read_json(self._pid_file)
        identity = Identity(found["pid"], found["created_s"]) if found else None
        return identity if alive(identity) else None

    def start(self, timeout_s: float = 60) -> str:
        """Starts the server unless it runs, waits until it serves clients, and returns its address.

        Raises DidNotStart, and what `prepare` raises.
        """
        self.home.make()
        with hold(self._pid_file.with_suffix(".lock"), f"starting {self.name}", wait_s=timeout_s):
            identity = self.running()
            if identity is None:
                self.prepare()
                command = self.command()
                env = {**os.environ, **mark(f"{self.name}-{self.instance}", self.home.root), **command.env}
                process = spawn(command.argv, env=env, cwd=command.cwd, log=self._log)
                identity = Identity.of(process.pid)
                if identity:
                    write_private(self._pid_file, f'{{"pid": {identity.pid}, "created_s": {identity.created_s}}}')
            self._wait(identity, timeout_s)
        return self.address

    def stop(self) -> None:
        """Ends the server in an orderly way; after `grace_s` seconds by force. Nothing happens when it does not run."""
        stop(self.running(), first=self.stop_signal, grace_s=self.grace_s)
        self._pid_file.unlink(missing_ok=True)

    def kill(self) -> None:
        """Ends the server as a power failure would end its process."""
        stop(self.running(), first=signal.SIGKILL)

    @property
    def _log(self) -> Path:
        return self.home.log_of(self.name, self.instance)

    @property
    def _pid_file(self) -> Path:
        return self.home.root / f"{self.name}-{self.instance}.pid.json"

    def _wait(self, identity: Identity | None, timeout_s: float) -> None:
        until = time.monotonic() + timeout_s
        while not self.ready():
            running = alive(identity)
            if not running or time.monotonic() > until:
                what = f"does not answer after {timeout_s:.0f} s" if running else "ended while it started"
                raise DidNotStart(f"{self.name} {what}; the end of {self._log}:\n" + "\n".join(tail(self._log)))
            time.sleep(0.05)
