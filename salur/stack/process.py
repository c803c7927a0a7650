"""Processes of the stack: started detached, known by pid and creation time, stopped for certain."""

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import psutil

LOG_BYTES_MAX = 10_000_000
MARK = "SALUR_STACK_PROCESS"


class Identity(NamedTuple):
    """One process of this machine; a pid alone may be given to another process later.

    `created_s` are seconds since the machine's start on Linux, which a change of the clock does not move, and since
    1970 elsewhere.
    """

    pid: int
    created_s: float

    @classmethod
    def of(cls, pid: int) -> "Identity | None":
        """The process that has this pid now; None where there is none but perhaps a zombie."""
        try:
            process = psutil.Process(pid)
            if process.status() == psutil.STATUS_ZOMBIE:
                return None
            return cls(pid, _created_s(process))
        except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
            return None


def alive(identity: Identity | None) -> bool:
    """Whether exactly this process runs; a zombie nobody has waited for counts as dead."""
    return identity is not None and Identity.of(identity.pid) == identity


def _created_s(process: psutil.Process) -> float:
    if not sys.platform.startswith("linux"):
        return process.create_time()
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")  # field 22 of proc(5), the third stands first here


def spawn(argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, log: Path) -> subprocess.Popen[bytes]:
    """Starts `argv` in a session of its own, so that no Ctrl-C and no end of its starter reaches it.

    Both outputs are appended to `log`, which is set aside as `.1` first when it has grown large.
    Raises OSError when the program cannot be started.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > LOG_BYTES_MAX:
        log.replace(log.with_name(log.name + ".1"))
    with log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603 - argv is ours
            list(argv),
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def stop(identity: Identity | None, *, first: signal.Signals = signal.SIGTERM, grace_s: float = 10) -> bool:
    """Ends the process: `first`, after `grace_s` SIGKILL. Returns whether it ended by itself."""
    if identity is None or not _send(identity, first) or ended(identity, grace_s):
        return True
    _send(identity, signal.SIGKILL)
    ended(identity, 10)
    return False


def ended(identity: Identity, within_s: float) -> bool:
    """Waits until the process is gone; False when it still runs after `within_s`."""
    until = time.monotonic() + within_s
    while alive(identity):
        if time.monotonic() >= until:
            return False
        _reap(identity.pid)
        time.sleep(0.05)
    _reap(identity.pid)
    return True


def marked(home: Path) -> Iterator[tuple[Identity, str]]:
    """Every process that carries the mark of the stack at `home`, with its `name-instance`.

    This finds what a supervisor had started when it was killed before it could write that down.
    """
    suffix = f"@{home}"
    for process in psutil.process_iter():
        try:
            mark = process.environ().get(MARK, "")
            if mark.endswith(suffix) and (identity := Identity.of(process.pid)):
                yield identity, mark.removesuffix(suffix)
        except (psutil.Error, OSError):  # gone meanwhile, or another user's
            continue


def descends_from(pid: int, pids: Collection[int]) -> bool:
    """Whether `pid` or one of its ancestors is among `pids`."""
    try:
        return pid in pids or any(parent.pid in pids for parent in psutil.Process(pid).parents())
    except psutil.NoSuchProcess:
        return False


def mark(name: str, home: Path) -> dict[str, str]:
    """The environment variable by which `marked` finds a process again."""
    return {MARK: f"{name}@{home}"}


def tail(log: Path, lines: int = 20) -> Iterable[str]:
    try:
        with log.open(encoding="utf-8", errors="replace") as file:
            return [line.rstrip("\n") for line in deque(file, maxlen=lines)]
    except FileNotFoundError:
        return []


def memory_bytes(identity: Identity) -> int:
    """Memory of the process and its children; shared pages are counted once where the system tells."""
    total = 0
    try:
        process = psutil.Process(identity.pid)
        for each in (process, *process.children(recursive=True)):
            try:
                info = each.memory_full_info()
                total += getattr(info, "pss", 0) or info.rss
            except psutil.AccessDenied:
                total += each.memory_info().rss
    except psutil.NoSuchProcess:
        pass
    return total


def _send(identity: Identity, number: signal.Signals) -> bool:
    """Sends the signal to exactly this process; False when it is gone."""
    if not alive(identity):
        return False
    try:
        os.kill(identity.pid, number)
    except ProcessLookupError:
        return False
    return True


def _reap(pid: int) -> None:
    """Takes the exit status if `pid` is our child, so that it does not stay as a zombie."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except (ChildProcessError, OSError):
        return
