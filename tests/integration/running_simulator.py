"""Simulators as what they are: processes of their own, which a test may kill."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson


@dataclass
class Simulator:
    """A running simulator at `url`."""

    url: str
    process: asyncio.subprocess.Process

    async def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGKILL)
        await self.process.wait()

    async def get(self, path: str) -> dict[str, Any]:
        async with aiohttp.ClientSession() as session, session.get(self.url + path) as response:
            body: dict[str, Any] = await response.json()
            return body

    async def books(self) -> list[dict[str, Any]]:
        async with aiohttp.ClientSession() as session, session.get(self.url + "/books") as response:
            assert response.headers["content-type"] == "application/x-ndjson"
            return [orjson.loads(line) for line in (await response.read()).splitlines()]


@asynccontextmanager
async def running(name: str, data: Path, *options: object, port: int = 0) -> AsyncIterator[Simulator]:
    """Start `simulators.NAME` on a free port (or `port`) and stop it with SIGTERM at the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        f"simulators.{name}",
        *("--port", str(port), "--data", str(data)),
        *(str(option) for option in options),
        cwd=Path(__file__).parents[2],
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    line = (await asyncio.wait_for(process.stdout.readline(), 30)).decode()
    assert line.startswith(f"{name} simulator: http://"), f"{name} did not start: {line!r}"
    try:
        yield Simulator(line.split(": ", 1)[1].strip(), process)
    finally:
        if process.returncode is None:
            process.terminate()
            assert await asyncio.wait_for(process.wait(), 10) == 0
