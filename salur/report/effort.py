"""Where the time goes: CPU seconds of every process since it started."""

import asyncio
import re
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Final

import aiohttp

from salur.report.document import ProcessEffort
from salur.stack.status import ProcessStatus

_CPU: Final = re.compile(r"^process_cpu_seconds_total ([0-9.e+]+)$", re.MULTILINE)
_TIMEOUT_S: Final = 3


async def efforts(processes: Sequence[ProcessStatus], recipients: int) -> list[ProcessEffort]:
    """By what each says itself at /metrics, else by the operating system, its children included (PostgreSQL has one a
    connection). Whoever cannot be asked is left out. The most expensive first."""
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        seconds = await asyncio.gather(*(_cpu_s(session, process) for process in processes))
    total = sum(filter(None, seconds)) or 1.0
    found = [
        ProcessEffort(
            process=process.name,
            instance=process.instance,
            cpu_s=round(cpu_s, 2),
            share=round(cpu_s / total, 4),
            us_per_recipient=round(cpu_s * 1e6 / recipients, 1) if recipients else None,
            memory_bytes=process.memory_bytes,
        )
        for process, cpu_s in zip(processes, seconds, strict=True)
        if cpu_s is not None
    ]
    return sorted(found, key=lambda one: -one.cpu_s)


async def _cpu_s(session: aiohttp.ClientSession, process: ProcessStatus) -> float | None:
    try:
        async with session.get(f"http://127.0.0.1:{process.port}/metrics") as answer:
            if answer.status == 200 and (match := _CPU.search(await answer.text())):
                return float(match[1])
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
        pass
    return _by_system(process.pid)


def _by_system(pid: int | None) -> float | None:
    if pid is None or not find_spec("psutil"):
        return None
    import psutil

    try:
        main = psutil.Process(pid)
        ended = main.cpu_times()
        seconds = ended.user + ended.system + ended.children_user + ended.children_system
        for child in main.children(recursive=True):
            times = child.cpu_times()
            seconds += times.user + times.system
    except psutil.Error:
        return None
    return float(seconds)
