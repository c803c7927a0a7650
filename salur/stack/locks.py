"""Locks between processes: an advisory lock on a file, which the kernel frees when the holder dies."""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from shared.errors import SalurError


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lock: its process and what it is doing."""

    pid: int
    doing: str


class Held(SalurError):
    """Another process holds the lock; `holder` says which."""

    def __init__(self, path: Path, holder: Holder) -> None:
        super().__init__(f"{path} is held by process {holder.pid} ({holder.doing})")
        self.holder = holder


@contextmanager
def hold(path: Path, doing: str, *, wait_s: float = 0) -> Iterator[None]:
    """Holds the lock at `path` for the block. Raises Held when another process keeps it for longer than `wait_s`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + wait_s
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= until:
                    raise Held(path, _read(file.read())) from None
                time.sleep(0.05)
        file.seek(0)
        file.truncate()
        file.write(json.dumps({"pid": os.getpid(), "doing": doing}))
        file.flush()
        yield


def holder_of(path: Path) -> Holder | None:
    """Who holds the lock at `path` now, if anybody does."""
    try:
        with path.open("r+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return _read(file.read())
    except FileNotFoundError:
        pass
    return None


def _read(text: str) -> Holder:
    try:
        found = json.loads(text)
        return Holder(int(found["pid"]), str(found["doing"]))
    except (ValueError, KeyError):  # taken a moment ago, not yet written
        return Holder(0, "starting")
