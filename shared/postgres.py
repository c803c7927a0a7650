"""PostgreSQL: one schema a service, its migrations, and a pool that may do only what the service's role may."""

import hashlib
from collections.abc import Callable, Coroutine, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

import asyncpg
import structlog

from shared.errors import SalurError

log = structlog.get_logger()

_LOCK_CLASS = 0x5A1  # first half of the advisory lock's key; the second is the service's


class MigrationChanged(SalurError):
    """A migration that was applied reads differently now."""


def app_role(service: str) -> str:
    """The role that a running service works as; migrations are applied by the login role, which owns the tables."""
    return f"salur_{service}"


async def migrate(url: str, service: str) -> None:
    """Applies the runtime's and the service's numbered SQL files that are missing, each in one transaction.

    Any number of processes may do this at once: an advisory lock lets one in. Raises MigrationChanged.
    """
    connection = await asyncpg.connect(url, server_settings={"search_path": service, "timezone": "UTC"})
    try:
        await connection.execute("SELECT pg_advisory_lock($1, hashtext($2))", _LOCK_CLASS, service)
        await _prepare(connection, service)
        rows = await connection.fetch("SELECT name, sha256 FROM schema_migration")
        applied = {row["name"]: row["sha256"] for row in rows}
        for file in (*_scripts("shared.runtime"), *_scripts(f"services.{service}")):
            await _apply(connection, file, applied)
    finally:
        await connection.close()


async def open_pool(
    url: str,
    service: str,
    *,
    instance: int = 0,
    transaction_timeout_ms: int = 8_000,
    size_max: int = 8,
    more: Mapping[str, str] | None = None,
    admit: Callable[[Any], Coroutine[Any, Any, None]] | None = None,
) -> asyncpg.Pool:
    """Connections that work as the service's role in the service's schema.

    `transaction_timeout_ms` stands below Kafka's session time-out, so that a paused process cannot hold its locks
    longer than it holds its partitions. `more`: further settings of each connection. `admit` raises for a connection
    that nobody may use.
    """
    return await asyncpg.create_pool(
        url,
        min_size=1,
        max_size=size_max,
        command_timeout=60,
        init=admit,
        reset=_leave,
        server_settings={
            "role": app_role(service),
            "search_path": service,
            "application_name": f"salur-{service}-{instance}",
            "timezone": "UTC",
            "transaction_timeout": str(transaction_timeout_ms),
            "jit": "off",
            **(more or {}),
        },
    )


async def _leave(connection: Any) -> None:
    """A connection that goes back to the pool has nothing to be cleared of: no lock, listener, cursor or setting
    outlives a transaction here, and asyncpg has ended that. Its own four statements would be more than half of all."""


async def _prepare(connection: asyncpg.Connection, service: str) -> None:
    role = app_role(service)
    if not await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", role):
        await connection.execute(f"CREATE ROLE {role} NOLOGIN")
    await connection.execute(
        f"""
        GRANT {role} TO CURRENT_USER;
        CREATE SCHEMA IF NOT EXISTS {service};
        GRANT USAGE ON SCHEMA {service} TO {role};
        ALTER DEFAULT PRIVILEGES IN SCHEMA {service} GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {role};
        ALTER DEFAULT PRIVILEGES IN SCHEMA {service} GRANT USAGE ON SEQUENCES TO {role};
        CREATE TABLE IF NOT EXISTS schema_migration (
            name text PRIMARY KEY,
            sha256 text NOT NULL,
            applied_at timestamptz NOT NULL DEFAULT now()
        );
        """
    )


def _scripts(package: str) -> list[Traversable]:
    folder = files(package) / "migrations"
    return sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)


async def _apply(connection: asyncpg.Connection, file: Traversable, applied: dict[str, str]) -> None:
    text = file.read_text(encoding="utf-8")
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    if file.name in applied:
        if applied[file.name] != sha256:
            raise MigrationChanged(
                f"migration {file.name} was applied in another wording", hint="restore the file and add a new migration"
            )
        return
    async with connection.transaction():
        await connection.execute(text)
        await connection.execute("INSERT INTO schema_migration (name, sha256) VALUES ($1, $2)", file.name, sha256)
    log.info("migration applied", migration=file.name)
