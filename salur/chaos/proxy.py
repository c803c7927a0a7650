"""TCP proxies under the run's control: each connection of a service leads through one and can be disturbed there."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

import uvloop

from salur.stack.ports import LOOPBACK

T = TypeVar("T")

PIECE_BYTES = 64 * 1024


class Weather(NamedTuple):
    """How it is between two programs.

    `delay_s` holds up each piece of at most PIECE_BYTES, which also makes the line narrow. `silent`: nothing passes,
    no connection ends; what was sent meanwhile arrives afterwards. `cut`: open connections are broken, new ones
    refused.
    """

    delay_s: float = 0.0
    silent: bool = False
    cut: bool = False


CALM = Weather()


@dataclass(slots=True)
class _Line:
    """One listening port and what it leads to; lives in the proxies' own event loop."""

    port: int
    target: Callable[[], int]
    weather: Weather = CALM
    connections: int = 0
    broken: int = 0
    open: set[asyncio.StreamWriter] = field(default_factory=set)
    """both ends of each connection"""
    _server: asyncio.Server | None = None
    _flowing: asyncio.Event = field(default_factory=asyncio.Event)

    async def listen(self) -> None:
        self._flowing.set()
        self._server = await asyncio.start_server(self._serve, LOOPBACK, self.port, reuse_address=True)

    async def change(self, weather: Weather) -> None:
        before, self.weather = self.weather, weather
        if weather.silent:
            self._flowing.clear()
        else:
            self._flowing.set()
        if weather.cut:
            self._close_server()
            self.broken += len(self.open)
            for writer in self.open:
                writer.transport.abort()
        elif before.cut:
            await self.listen()

    async def close(self) -> None:
        self._close_server()
        for writer in self.open:
            writer.transport.abort()

    def _close_server(self) -> None:
        if self._server:
            self._server.close()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open.add(writer)
        far_writer: asyncio.StreamWriter | None = None
        try:
            far_reader, far_writer = await asyncio.open_connection(LOOPBACK, self.target())
            self.open.add(far_writer)
            await self._carry(reader, writer, far_reader, far_writer)
        except OSError:  # the program behind is away, or one side went: the other one sees it end too
            pass
        finally:
            for each in (writer, far_writer):
                if each:
                    self.open.discard(each)
                    each.transport.abort() if self.weather.cut or far_writer is None else each.close()

    async def _carry(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        far_reader: asyncio.StreamReader,
        far_writer: asyncio.StreamWriter,
    ) -> None:
        """Until one side ends."""
        ways = {
            asyncio.create_task(self._pump(reader, far_writer)),
            asyncio.create_task(self._pump(far_reader, writer)),
        }
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while piece := await reader.read(PIECE_BYTES):
                if self.weather.delay_s:
                    await asyncio.sleep(self.weather.delay_s)
                await self._flowing.wait()
                writer.write(piece)
                await writer.drain()


class Proxies:
    """Any number of proxies in a thread of their own, so that nothing the run waits for holds them up."""

    def __init__(self) -> None:
        self._loop = uvloop.new_event_loop()
        self._lines: dict[str, _Line] = {}
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxies", daemon=True)
        self._thread.start()

    def open(self, name: str, port: int, target: Callable[[], int]) -> None:
        """Listens on `port`; `target` gives the port behind it, asked for each connection. Raises OSError."""

        async def begin() -> None:
            line = self._lines[name] = _Line(port, target)
            await line.listen()

        self._do(begin())

    def change(self, name: str, weather: Weather) -> None:
        """From now on it is so on this line."""
        self._do(self._lines[name].change(weather))

    def carries(self, name: str) -> bool:
        """Whether anything is connected over this line now."""
        return bool(self._lines[name].open)

    def calm(self) -> None:
        """On all lines."""
        for name, line in self._lines.items():
            if line.weather != CALM:
                self.change(name, CALM)

    @property
    def connections(self) -> int:
        return sum(line.connections for line in self._lines.values())

    @property
    def broken(self) -> int:
        """Connections that were cut."""
        return sum(line.broken for line in self._lines.values()) // 2  # both ends are counted

    def close(self) -> None:
        async def end() -> None:
            for line in self._lines.values():
                await line.close()
            others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        self._do(end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()
