"""References that are checked once a statement hold as a foreign key would, for the service and for its owner."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from shared.postgres import migrate, open_pool

RULES = "INSERT INTO rulebook (digest, programmes) VALUES ('d', '{}')"
RECIPIENT = """
    INSERT INTO recipient (
        recipient_id, registration_revision, registered_at, family_id, village, decile, eligibility,
        cause_id, correlation_id, traceparent, rulebook_id
    )
    SELECT 'r-' || n, 1, now(), 'f-' || n, '7604010001', 1, 's', 'c', 'c', 't', 1 FROM unnest($1::int[]) AS n
"""
DECISION = """
    INSERT INTO decision
    SELECT 'r-' || n, 'sembako', 1, 1, 'eligible', 200000, 'ok', 1, 0, now() FROM unnest($1::int[]) AS n
"""
PAYEE = "INSERT INTO family_payee SELECT 'f-' || n, 'sembako', 'r-' || n FROM unnest($1::int[]) AS n"


@pytest.fixture
async def eligibility(database: str) -> AsyncIterator[asyncpg.Pool]:
    await migrate(database, "eligibility")
    async with await open_pool(database, "eligibility") as pool:
        await pool.execute(RULES)
        await pool.execute("INSERT INTO family SELECT 'f-' || n FROM generate_series(1, 3) AS n")
        await pool.execute(RECIPIENT, [1, 2])
        await pool.execute(DECISION, [1])
        yield pool


@pytest.mark.parametrize(
    ("statement", "numbers", "told"),
    [
        (RECIPIENT, [3, 4], "a row of recipient names a family that is not known"),
        (DECISION, [2, 3], "a row of decision names a recipient that is not known"),
        (PAYEE, [1, 2], "a row of family_payee names a decision that is not known"),
        ("INSERT INTO family_payee SELECT 'f-9', 'sembako', 'r-1' WHERE $1::int[] <> '{}'", [0], "a family that"),
        ("UPDATE recipient SET family_id = 'f-9' WHERE recipient_id = 'r-1' AND $1::int[] <> '{}'", [0], "a family"),
    ],
)
async def test_one_that_refers_to_nothing_keeps_all_of_the_statement_out(
    eligibility: asyncpg.Pool, statement: str, numbers: list[int], told: str
) -> None:
    with pytest.raises(asyncpg.ForeignKeyViolationError, match=told):
        await eligibility.execute(statement, numbers)


async def test_a_payee_turns_to_somebody_decided_only(eligibility: asyncpg.Pool) -> None:
    await eligibility.execute(PAYEE, [1])
    with pytest.raises(asyncpg.ForeignKeyViolationError, match="a decision that is not known"):
        await eligibility.execute("UPDATE family_payee SET recipient_id = 'r-2'")
    await eligibility.execute(DECISION, [2])
    await eligibility.execute("UPDATE family_payee SET recipient_id = 'r-2'")


@pytest.mark.parametrize("table", ["family", "recipient", "decision"])
async def test_what_is_referred_to_is_never_deleted(eligibility: asyncpg.Pool, table: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await eligibility.execute(f"DELETE FROM {table}")


async def test_nobody_is_registered_who_is_no_person(database: str) -> None:
    await migrate(database, "registry")
    add = """
        INSERT INTO recipient
        SELECT r, 1, now(), now(), 's', r, substr(sha256(''), 1, 16), 'f-' || substr(r, 3), '7604010001', 1,
            's', NULL, 's'
        FROM unnest($1::text[]) AS r
    """
    known, unknown = "r-" + "1" * 32, "r-" + "2" * 32
    async with await open_pool(database, "registry") as pool:
        await pool.execute("INSERT INTO person VALUES ($1)", known)
        with pytest.raises(asyncpg.ForeignKeyViolationError, match="a person that is not known"):
            await pool.execute(add, [known, unknown])
        await pool.execute(add, [known])
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pool.execute("DELETE FROM person")
