"""A proxy passes bytes on, late, not at all, or breaks the connection, as it is told while it runs."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from time import monotonic
from typing import NamedTuple

import pytest

from salur.chaos.proxy import CALM, Proxies, Weather


class Echo(threading.Thread):
    """Answers whatever it hears with the same bytes."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]

    def run(self) -> None:
        while True:
            try:
                connection, _ = self.listening.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            try:
                while heard := connection.recv(65536):
                    connection.sendall(heard)
            except OSError:
                return

    def stop(self) -> None:
        with suppress(OSError):
            self.listening.shutdown(socket.SHUT_RDWR)  # wakes who waits in accept
        self.listening.close()


class Line(NamedTuple):
    """A proxy in front of the echo."""

    proxies: Proxies
    port: int

    def change(self, weather: Weather) -> None:
        self.proxies.change("line", weather)


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def line(echo: Echo) -> Iterator[Line]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    proxies = Proxies()
    proxies.open("line", port, lambda: echo.port)
    yield Line(proxies, port)
    proxies.close()


def said(connection: socket.socket, what: bytes, timeout_s: float = 5.0) -> bytes:
    connection.settimeout(timeout_s)
    connection.sendall(what)
    heard = b""
    while len(heard) < len(what):
        piece = connection.recv(65536)
        if not piece:
            break
        heard += piece
    return heard


def ends(connection: socket.socket) -> bool:
    """Whether the other side ends the connection, in whatever way, before it says anything."""
    connection.settimeout(5)
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), 5)


def test_what_is_sent_arrives(line: Line) -> None:
    large = bytes(range(256)) * 5000
    with connected(line.port) as one, connected(line.port) as other:
        assert said(one, b"one") == b"one"
        assert said(other, large) == large
        assert said(one, b"again") == b"again"


def test_a_slow_line_is_late_and_then_quick_again(line: Line) -> None:
    with connected(line.port) as connection:
        line.change(Weather(delay_s=0.3))
        began = monotonic()
        assert said(connection, b"late") == b"late"
        assert monotonic() - began >= 0.6
        line.change(CALM)
        began = monotonic()
        assert said(connection, b"quick") == b"quick"
        assert monotonic() - began < 0.3


def test_on_a_silent_line_nothing_ends_and_everything_comes_later(line: Line) -> None:
    with connected(line.port) as connection:
        assert said(connection, b"before") == b"before"
        line.change(Weather(silent=True))
        with pytest.raises(TimeoutError):
            said(connection, b"held", timeout_s=0.5)
        line.change(CALM)
        connection.settimeout(5)
        assert connection.recv(10) == b"held"


def test_a_cut_line_breaks_what_is_open_and_refuses_what_is_new(line: Line) -> None:
    with connected(line.port) as connection:
        assert said(connection, b"before") == b"before"
        line.change(Weather(cut=True))
        assert ends(connection)
        with pytest.raises(ConnectionRefusedError):
            connected(line.port)
        line.proxies.calm()
        with connected(line.port) as again:
            assert said(again, b"after") == b"after"
    assert (line.proxies.connections, line.proxies.broken) == (2, 1)


def test_what_leads_to_a_program_that_is_away_ends_at_once(line: Line, echo: Echo) -> None:
    echo.stop()
    with connected(line.port) as connection:
        assert ends(connection)


async def test_many_at_once(line: Line) -> None:
    async def talk(number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", line.port)
        for turn in range(20):
            text = f"{number} {turn}".encode()
            writer.write(text)
            assert await reader.readexactly(len(text)) == text
        writer.close()

    await asyncio.gather(*(talk(number) for number in range(50)))
