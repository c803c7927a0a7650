"""Fixtures that every test may ask for: a real Kafka, a real PostgreSQL, and a database of its own."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.stack import TestStack, drop_database, fresh_database

_stack = TestStack()


def pytest_report_header() -> str:
    return _stack.describe()


@pytest.hookimpl(tryfirst=True)  # before xdist reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of the two processes that run the tests each takes whole files; those that look at the one demo go together."""
    for item in items:
        demo = "demo" in getattr(item, "fixturenames", ())
        item.add_marker(pytest.mark.xdist_group("demo" if demo else str(item.path)))


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
