"""The three kinds of failure: rejected is an event; here, trouble is told from poison."""

import asyncpg
from aiokafka.errors import KafkaError

from shared.errors import SalurError, Trouble

TROUBLE: tuple[type[Exception], ...] = (
    Trouble,
    KafkaError,
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
    asyncpg.QueryCanceledError,
    asyncpg.LockNotAvailableError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InvalidTransactionStateError,
    asyncpg.OperatorInterventionError,
    asyncpg.PostgresSystemError,
    asyncpg.InternalClientError,
)


def told(error: BaseException) -> str:
    """What may be shown of an error: the words of our own, of others the type alone."""
    if isinstance(error, SalurError):
        return f"{error.message}; {error.hint}" if error.hint else error.message
    return type(error).__name__


def is_trouble(error: BaseException) -> bool:
    """Whether the world around is to blame, so that the same batch can succeed later.

    A ValueError never is: asyncpg raises one of its own for an argument that no column could hold.
    """
    return isinstance(error, TROUBLE) and not isinstance(error, ValueError)
