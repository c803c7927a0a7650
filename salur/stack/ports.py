"""Free ports on the loopback address, chosen once and remembered, so that a restart keeps its address."""

import json
import random
import socket
import time
from pathlib import Path

from salur.stack.home import read_json, write_private
from salur.stack.locks import hold
from shared.errors import SalurError

LOOPBACK = "127.0.0.1"

# Below the range that kernels hand to outgoing connections (Linux: 32768 and up), so that nobody's connection
# takes a server's port while that server restarts.
_RANGE = range(20_000, 32_000)


class NoFreePort(SalurError):
    """Not one port of a thousand tried could be bound."""


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


class PortBook:
    """Ports by name in a small JSON file; safe between processes."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def port(self, name: str) -> int:
        """The port remembered under `name`, else a free one that is remembered from now on. Raises NoFreePort."""
        known = read_json(self._path).get(name)
        return int(known) if known else self.renew(name, None)

    def claim(self, name: str) -> int:
        """The port of `name` for a program that is about to be started.

        The remembered one, unless another program holds it for longer than the end of a killed process takes: then
        another one. Raises NoFreePort.
        """
        until = time.monotonic() + 3
        while not is_free(port := self.port(name)):
            if time.monotonic() > until:
                return self.renew(name, port)
            time.sleep(0.1)
        return port

    def renew(self, name: str, old: int | None) -> int:
        """Another free port for `name`, whose `old` one somebody else took, unless it was given another meanwhile."""
        with hold(self._path.with_suffix(".lock"), "choosing a port", wait_s=10):
            book = read_json(self._path)
            if book.get(name) not in (old, None):
                return int(book[name])
            taken = set(book.values())
            for _ in range(1000):
                port = random.choice(_RANGE)  # noqa: S311 - any free one will do
                if port not in taken and is_free(port):
                    write_private(self._path, json.dumps(book | {name: port}, indent=1, sort_keys=True))
                    return port
        raise NoFreePort("no free port on 127.0.0.1")
