"""Fixtures that every test may ask for: a real Kafka, a real PostgreSQL, and a database of its own."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

from tests.stack import TestStack, drop_database, fresh_database, remove_homes

_stack = TestStack()

# No test depends on how busy the machine is.
settings.register_profile("salur", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("salur")


def pytest_report_header() -> str:
    return _stack.describe()


class WholeFiles(LoadScopeScheduling):
    """Of the processes that run the tests each takes whole files, so that what a file sets up is set up once.

    Those under `end_to_end` look at one demo and go together. (xdist's own groups do nothing with pytest 9.)
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return str(Path(file).parent) if "/end_to_end/" in file else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> WholeFiles:
    return WholeFiles(config, log)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """What failed is looked at in its home."""
    if not session.testsfailed:
        remove_homes()


@pytest.fixture(scope="session")
def stack() -> Iterator[TestStack]:
    yield _stack
    _stack.close()


@pytest.fixture(scope="session")
def kafka(stack: TestStack) -> str:
    """The bootstrap address of a broker with automatic topic creation off; tests name their topics apart."""
    return stack.kafka()


@pytest.fixture(scope="session")
def postgres(stack: TestStack) -> str:
    """The URL of a database whose role may make databases and roles; for a clean one ask for `database`."""
    return stack.postgres()


@pytest.fixture
async def database(postgres: str) -> AsyncIterator[str]:
    """The URL of an empty database for one test."""
    url = await fresh_database(postgres)
    yield url
    await drop_database(url)
