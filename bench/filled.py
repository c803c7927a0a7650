"""Tables as they are once many recipients went through: rows as the flow leaves them, written straight into the tables.

They are inert. Everybody is registered, decided, paid in the open cycle and told; nothing of it is due, and no topic
knows of it. Ids are hashes, so new rows fall between old ones everywhere, as they do in life. What is sealed has the
length of a sealed value and opens with no key. Constraints hold; payout's triggers, which post each transfer to its
accounts and refuse a payout that is born confirmed, do not run meanwhile.
"""

from collections.abc import Callable

import asyncpg

from salur.inside.connect import Settings
from shared.events.topics import Service

ROWS_AT_ONCE = 100_000

_SEALED = "'{prefix}-abcdefgh.' || repeat(md5(n || '{prefix}'), {times})"
_FACTS, _ACCOUNT, _PHONE = (
    _SEALED.format(prefix=prefix, times=times) for prefix, times in (("eli", 9), ("pay", 5), ("con", 5))
)
_WHO = """
    FROM (
        SELECT n, 'r-' || md5('r' || n) AS r, 'f-' || md5('f' || n) AS f, 1 + n % 10 AS decile,
            now() - interval '20 days' AS at, md5('c' || n) AS cause,
            '00-' || md5('t' || n) || '-0123456789abcdef-01' AS trace
        FROM generate_series($1::int, $2::int) AS n
    ) AS one
"""
_PROGRAMMES = "CROSS JOIN unnest('{sembako,pkh,bantuan-polman}'::text[]) AS programme"
_PAID = "JOIN cycle ON cycle.state = 'open' AND (decile <= 4 AND programme = 'sembako' OR decile = 1)"

STATEMENTS: dict[Service, tuple[str, ...]] = {
    "registry": (
        f"INSERT INTO person (recipient_id) SELECT r {_WHO}",
        f"""
        INSERT INTO submission
            (source, id, kind, content_digest, recipient_id, answer, detail, submitted_at, answered_at)
        SELECT 'polman', 'filled-' || n || '-' || left(md5('s' || n), 16), 'registration',
            decode(md5('d' || n), 'hex'), r, 'registered', 'new', at, at
        {_WHO}
        """,
        f"""
        INSERT INTO recipient
        SELECT r, 1, at, at, 'polman', 'filled-' || n, decode(md5('d' || n), 'hex'), f, '7604012001', decile,
            {_FACTS}, {_ACCOUNT}, {_PHONE}
        {_WHO}
        """,
    ),
    "eligibility": (
        f"INSERT INTO family SELECT f {_WHO}",
        f"""
        INSERT INTO recipient
        SELECT r, 1, 0, NULL, at, f, '7604012001', decile, {_FACTS}, {_ACCOUNT}, {_PHONE}, cause, cause, trace, rulebook
        {_WHO} CROSS JOIN (SELECT max(rulebook_id) AS rulebook FROM rulebook) AS latest
        """,
        f"""
        INSERT INTO decision
        SELECT r, programme, 1, 1, CASE WHEN decile <= 4 THEN 'eligible' ELSE 'ineligible' END,
            CASE WHEN decile <= 4 THEN 200000 ELSE 0 END,
            CASE WHEN decile <= 4 THEN 'entitled' ELSE 'decile_above_limit' END, 1, 0, at
        {_WHO} {_PROGRAMMES}
        """,
        f"INSERT INTO family_payee SELECT f, programme, r {_WHO} {_PROGRAMMES} WHERE decile <= 4",
    ),
    "payout": (
        f"""
        INSERT INTO decision
        SELECT programme, r, 1, true, 200000, '7604012001', decile, at, at, {_ACCOUNT}, {_PHONE}, cause, cause, trace,
            number
        {_WHO} {_PAID}
        """,
        f"""
        INSERT INTO payout
        SELECT r, cycle, programme, 'confirmed', 1, 4, 1, 200000, '7604012001', 1, decile, at, 'bulk_bank',
            upper(left(md5(programme || n), 24)), at, 1, 0, at, NULL, NULL, 'B' || n, cause, cause, trace
        {_WHO} {_PAID}
        """,
        f"""
        INSERT INTO transfer (cycle, recipient_id, attempt, kind, debit_account, credit_account, amount_idr, at)
        SELECT cycle, r, 1, kind, debit, credit, 200000, at
        {_WHO} {_PAID}
        CROSS JOIN (VALUES ('reserve', 'budget', 'reserved'), ('send', 'reserved', 'in_transit'),
                           ('post', 'in_transit', 'paid')) AS step (kind, debit, credit)
        """,
    ),
    "notify": (
        f"INSERT INTO contact SELECT r, 1, {_PHONE} {_WHO}",
        f"""
        INSERT INTO decision
        SELECT r, programme, 1, decile <= 4, CASE WHEN decile <= 4 THEN 200000 ELSE 0 END, '\\x0123456789abcdef'
        {_WHO} {_PROGRAMMES}
        """,
        f"""
        INSERT INTO message (message_id, recipient_id, purpose, channel, about, about_revision, state, template,
            language, created_at, due_at, attempts, sent_at, delivered_at, revision, cause_id, correlation_id,
            traceparent)
        SELECT md5('m' || n), r, 'decisions:' || cause, 'whatsapp', 'decision', 1, 'read', 'decisions', 'id', at, at,
            1, at, at, 2, cause, cause, trace
        {_WHO}
        """,
        f"""
        INSERT INTO told
        SELECT r, programme, 1, decile <= 4, CASE WHEN decile <= 4 THEN 200000 ELSE 0 END, md5('m' || n)
        {_WHO} {_PROGRAMMES}
        """,
    ),
}
_BALANCES = """
    UPDATE account AS a
    SET balance_idr = a.balance_idr + CASE a.name WHEN 'paid' THEN 1 ELSE -1 END * p.amount_idr
    FROM (SELECT cycle, sum(amount_idr) AS amount_idr FROM payout GROUP BY cycle) AS p
    WHERE a.cycle = p.cycle AND a.name IN ('paid', 'treasury')
"""


async def fill(settings: Settings, recipients: int, tell: Callable[[str, int], None]) -> None:
    """As many recipients in all four databases; the cycles that pay them must be open, the rules used before."""
    for service, statements in STATEMENTS.items():
        connection = await asyncpg.connect(settings.url(service), server_settings={"search_path": service})
        guarded = ("transfer", "payout") if service == "payout" else ()
        try:
            for table in guarded:
                await connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
            for first in range(0, recipients, ROWS_AT_ONCE):
                last = min(first + ROWS_AT_ONCE, recipients) - 1
                async with connection.transaction():
                    for statement in statements:
                        await connection.execute(statement, first, last, timeout=600)
                tell(service, last + 1)
            if guarded:
                await connection.execute(_BALANCES)
            for table in guarded:
                await connection.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
            await connection.execute("VACUUM ANALYZE", timeout=1800)
        finally:
            await connection.close()
