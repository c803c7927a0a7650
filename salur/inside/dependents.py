"""Which current rows depend on a key: where they lie, how many they are, and whose."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

import asyncpg

from salur.inside.connect import resolve
from shared.errors import SalurError
from shared.privacy.keys import Kind
from shared.settings import PostgresSettings

IDS_A_PAGE: Final = 5000
# Pages follow the primary key: whole tables are not sorted for each.
_SESSION: Final = {"jit": "off", "application_name": "salur-keys", "enable_sort": "off"}


class Dependent(NamedTuple):
    """Where current values sealed with keys of one kind lie.

    `sql` counts them in the database of `service`; $1 is the beginning of such values, the key's id with its dot.
    `ids` selects a page of them in the order of `key`, whose last column is the recipient's id: after the values in
    $2, … at most as many as the last parameter says.
    """

    service: str
    what: str
    sql: str
    ids: str = ""
    key: tuple[str, ...] = ("recipient_id",)

    @property
    def place(self) -> str:
        return f"{self.service}: {self.what}"


def _rows(service: str, table: str, column: str, key: tuple[str, ...] = ("recipient_id",)) -> Dependent:
    """The rows of a table whose sealed column is under the key. `key` is its primary key: pages need no sort."""
    held = f"FROM {service}.{table} WHERE starts_with({column}, $1)"
    columns, after = ", ".join(key), ", ".join(f"${number}" for number in range(2, len(key) + 2))
    ids = f"SELECT {columns} {held} AND ({columns}) > ({after}) ORDER BY {columns} LIMIT ${len(key) + 2}"
    return Dependent(service, f"{table}.{column}", f"SELECT count(*) {held}", ids, key)


# A kind that is not in this table cannot be destroyed: nobody has said who depends on it. Submissions lie in topics
# alone, with a retention of their own; dead letters lie in topics too, where `salur keys destroy` looks for them; codes
# open nothing after minutes; and particulars are shown while they open, and not missed by any work.
DEPENDENTS: Final[dict[Kind, tuple[Dependent, ...]]] = {
    "submission": (),
    "recovery": (),
    "access": (),
    "eligibility": (
        _rows("registry", "recipient", "eligibility"),
        _rows("eligibility", "recipient", "eligibility"),
        _rows("eligibility", "recipient", "flags"),
    ),
    "payment": (
        _rows("registry", "recipient", "payment"),
        _rows("eligibility", "recipient", "payment"),
        _rows("payout", "decision", "payment", ("programme", "recipient_id")),
    ),
    "contact": (
        _rows("registry", "recipient", "contact"),
        _rows("eligibility", "recipient", "contact"),
        _rows("payout", "decision", "contact", ("programme", "recipient_id")),
        _rows("notify", "contact", "contact"),
    ),
    "particulars": (),
}


def databases() -> PostgresSettings:
    """Where the databases are: from the environment, else those of the stack."""
    given = PostgresSettings()
    return given if "postgres" in given.model_fields_set else resolve()


async def count_dependents(kind: Kind, key_id: str) -> Mapping[str, int]:
    """How many current rows of each place depend on the key. Raises SalurError when that cannot be found out."""
    if kind not in DEPENDENTS:
        raise SalurError(f"nobody has said which rows depend on {kind} keys: none is destroyed")
    if not DEPENDENTS[kind]:
        return {}
    settings = databases()
    counts: dict[str, int] = {}
    for dependent in DEPENDENTS[kind]:
        async with _asking(settings, dependent, key_id) as connection:
            counts[dependent.place] = await connection.fetchval(dependent.sql, f"{key_id}.")
    return counts


async def recipients_under(settings: PostgresSettings, dependent: Dependent, key_id: str) -> AsyncIterator[list[str]]:
    """Whose values of this place are under the key, some at a time, in one ordered pass over the table.

    Raises SalurError when the database does not answer.
    """
    async with _asking(settings, dependent, key_id) as connection:
        after: tuple[str, ...] = ("",) * len(dependent.key)
        while rows := await connection.fetch(dependent.ids, f"{key_id}.", *after, IDS_A_PAGE):
            yield [row[-1] for row in rows]
            if len(rows) < IDS_A_PAGE:
                return
            after = tuple(rows[-1])


@asynccontextmanager
async def _asking(settings: PostgresSettings, dependent: Dependent, key_id: str) -> AsyncIterator[asyncpg.Connection]:
    try:
        connection = await asyncpg.connect(settings.url(dependent.service), timeout=10, server_settings=_SESSION)
        try:
            yield connection
        finally:
            await connection.close(timeout=5)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise SalurError(
            f"the database of {dependent.service} does not say what depends on {key_id}: {type(error).__name__}",
            hint="nothing was destroyed; SALUR_POSTGRES says where the databases are",
        ) from error
