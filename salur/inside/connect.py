"""Where Kafka, the databases and the keys are: from the environment, else from the stack that `salur up` started."""

import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from shared.errors import KeyMissing, SalurError
from shared.privacy.keyring import Keyring
from shared.reading import Away, admin, consumer
from shared.settings import KafkaSettings, PostgresSettings

logging.getLogger("aiokafka").addHandler(logging.NullHandler())  # a broker that is away is told as an error of ours


__all__ = ["Away", "NeverRan", "Settings", "admin", "consumer", "database", "resolve"]


class NeverRan(SalurError):
    """A service's database has none of its tables."""


class Settings(KafkaSettings, PostgresSettings):
    """What the commands for looking inside need. `keys` is None where no key file is known."""

    keys: Path | None = None

    def keyring(self, *only: str) -> Keyring:
        """The keys named in `only`. Raises KeyMissing when the key file is not there or does not hold them."""
        if self.keys is None and not os.environ.get("SALUR_KEYS_JSON"):
            raise KeyMissing("no key file is known", hint="SALUR_KEYS says where it is")
        return Keyring.load(self.keys, only=set(only))


def resolve(home: Path | None = None) -> Settings:
    """SALUR_KAFKA, SALUR_POSTGRES and SALUR_KEYS; what is not given is taken from the stack at `home`.

    Raises NotUp (a SalurError) where neither says where Kafka and PostgreSQL are.
    """
    settings = Settings()
    if not {"kafka", "postgres"} <= settings.model_fields_set:
        from salur.stack.home import Home
        from salur.stack.status import environment

        settings = Settings.of(environment(Home.at(home)))
    if not {"kafka", "postgres"} <= settings.model_fields_set:
        raise SalurError("neither the environment nor the stack says where Kafka and PostgreSQL are")
    if settings.keys is None and (default := _default_keys(home)).exists():
        settings.keys = default
    return settings


def _default_keys(home: Path | None) -> Path:
    return Path(home or os.environ.get("SALUR_HOME") or ".salur") / "keys.json"


@asynccontextmanager
async def database(
    settings: PostgresSettings, service: str, *, writing: bool = False
) -> AsyncIterator[asyncpg.Connection]:
    """A connection in the service's schema that can only read, unless it is for `writing`. Raises Away, NeverRan."""
    url = settings.url(service)
    place = urlsplit(url)
    try:
        connection = await asyncpg.connect(
            url,
            timeout=15,
            server_settings={
                "search_path": service,
                "timezone": "UTC",
                "application_name": "salur-inside",
                "default_transaction_read_only": "off" if writing else "on",
                "jit": "off",
            },
        )
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise Away(
            f"the database of {service} at {place.hostname}:{place.port or 5432}{place.path} does not answer "
            f"({type(error).__name__})",
            hint="`salur status` shows what runs; SALUR_POSTGRES says where it is",
        ) from error
    try:
        if not await connection.fetchval("SELECT to_regclass('output_position') IS NOT NULL"):
            raise NeverRan(f"the database has no tables of {service}", hint="has the service ever been started?")
        yield connection
    finally:
        await connection.close(timeout=5)
