"""Who of those that payout must pay is forgotten: has no order and no place, or waits for what nobody does any more.

A wait is judged by how far whoever must act has come, not by its age alone: of millions of orders the last waits for
hours, and nothing is wrong as long as those before it are taken. What is found is counted, and a few are named.
"""

from typing import Any, Final

import asyncpg

from salur.report.document import EXAMPLES_MAX, Invariant

OVERDUE_S: Final = 600
"""When nobody took an order of this bank for so long, or took one that was due so much later, one that is due is
forgotten."""
UNCONSIDERED_S: Final = 300
"""When a sweep wrote nothing for so long, or went past it, a decision that has waited for so long is forgotten."""

_LOST = "SELECT recipient_id, cycle FROM standing WHERE standing = 'lost'"
_NO_OUTCOME = """
SELECT t.recipient_id, t.cycle, t.attempt, coalesce(p.state, 'gone') AS state
FROM transfer AS t
LEFT JOIN payout AS p ON (p.recipient_id, p.cycle, p.attempt) = (t.recipient_id, t.cycle, t.attempt)
WHERE t.kind = 'reserve' AND (p.state IS NULL OR p.state NOT IN ('ordered', 'claimed', 'unknown', 'unsent'))
    AND NOT EXISTS (
        SELECT FROM transfer AS e
        WHERE (e.recipient_id, e.cycle, e.attempt) = (t.recipient_id, t.cycle, t.attempt) AND e.kind IN ('post', 'void')
    )
"""
_NO_PLACE = """
SELECT p.recipient_id, p.cycle FROM payout AS p JOIN cycle AS c USING (cycle)
WHERE p.state = 'queued' AND c.state = 'closed'
"""
_SUPERSEDED = """
SELECT p.recipient_id, p.cycle, p.state, d.revision
FROM payout AS p
JOIN cycle AS c ON c.cycle = p.cycle AND c.state = 'open'
JOIN decision AS d ON (d.programme, d.recipient_id) = (p.programme, p.recipient_id)
WHERE p.state IN ('failed', 'cancelled') AND d.eligible
    AND d.revision > p.decision_revision AND d.settled_in >= c.number
"""
# MATERIALIZED: how far something has come is looked at once, and not again for each row.
# Orders are taken in the order in which they are due. How far that has come: an order that was sent for the first time
# was due when its budget was reserved.
_OVERDUE = f"""
WITH recent AS (SELECT now() - interval '{OVERDUE_S} s' AS at), sent AS MATERIALIZED (
    SELECT channel, max(sent_at) AS at FROM payout GROUP BY channel
), reached AS MATERIALIZED (
    SELECT p.channel, max(r.at) AS due_at
    FROM transfer AS s
    JOIN transfer AS r ON (r.recipient_id, r.cycle, r.attempt, r.kind) = (s.recipient_id, s.cycle, s.attempt, 'reserve')
    JOIN payout AS p ON (p.recipient_id, p.cycle) = (s.recipient_id, s.cycle)
    WHERE s.kind = 'send' AND s.at > (SELECT at FROM recent)
    GROUP BY p.channel
), asked AS MATERIALIZED (
    SELECT channel, max(CASE state WHEN 'unknown' THEN due_at ELSE since END) AS at
    FROM payout WHERE asks > 0 AND state IN ('unknown', 'confirmed', 'failed') GROUP BY channel
)
SELECT p.recipient_id, p.cycle, p.state, p.due_at
FROM payout AS p
LEFT JOIN sent USING (channel) LEFT JOIN reached USING (channel) LEFT JOIN asked USING (channel)
WHERE p.due_at < (SELECT at FROM recent) AND CASE
    WHEN p.state IN ('claimed', 'unknown') THEN coalesce(asked.at, '-infinity') < (SELECT at FROM recent)
    ELSE coalesce(sent.at, '-infinity') < (SELECT at FROM recent)
        OR p.due_at < reached.due_at - interval '{OVERDUE_S} s'
    END
"""
# A sweep goes by `waiting_since` through what is due, and whoever becomes due behind it is the next. Who follows on a
# payee whose money may be on its way waits for what becomes of that, and that order is judged above.
_UNCONSIDERED = f"""
WITH recent AS (SELECT now() - interval '{UNCONSIDERED_S} s' AS at), swept AS MATERIALIZED (
    SELECT c.cycle, c.approved_at,
        (
            SELECT max(d.waiting_since) FROM decision AS d WHERE d.programme = c.programme AND d.settled_in = c.number
        ) AS reached,
        greatest(
            (SELECT max(t.at) FROM transfer AS t WHERE t.cycle = c.cycle AND t.kind = 'reserve'),
            (
                SELECT max(p.since) FROM payout AS p
                WHERE p.cycle = c.cycle AND (p.state IN ('queued', 'cancelled') OR (p.state = 'failed' AND p.sends = 0))
            )
        ) AS at
    FROM cycle AS c WHERE c.state = 'open'
)
SELECT s.recipient_id, s.programme AS cycle
FROM standing AS s
JOIN decision AS d USING (recipient_id, programme)
JOIN swept ON swept.cycle = s.cycle
WHERE s.standing = 'not_yet_considered' AND greatest(d.received_at, swept.approved_at) < (SELECT at FROM recent)
    AND (coalesce(swept.at, '-infinity') < (SELECT at FROM recent) OR d.waiting_since < swept.reached)
    AND NOT EXISTS (
        SELECT FROM payout AS p
        WHERE (p.recipient_id, p.cycle) = (s.recipient_id, s.cycle) AND p.since > (SELECT at FROM recent)
    )
    AND NOT EXISTS (
        SELECT FROM payout AS f
        WHERE (f.family_id, f.cycle) = (d.family_id, s.cycle) AND f.recipient_id <> d.recipient_id
            AND f.state IN ('ordered', 'claimed', 'unknown', 'unsent')
    )
"""
FORGOTTEN: Final = (
    (_LOST, "eligible, with no order and no place"),
    (_NO_OUTCOME, "budget reserved for attempt {attempt}, no outcome, and the payout is {state}"),
    (_NO_PLACE, "queued in a cycle that is closed"),
    (_SUPERSEDED, "{state} under an older decision, and decision {revision} counts as dealt with"),
    (_OVERDUE, "{state}, due at {due_at:%Y-%m-%d %H:%M:%S} UTC, and nobody acts"),
    (_UNCONSIDERED, f"eligible, and not considered for more than {UNCONSIDERED_S} s"),
)


async def look(payout: asyncpg.Connection, invariant: Invariant) -> None:
    """Every eligible decision has a payout in the open cycle, every reserved rupiah an outcome or a wait that ends."""
    for query, sentence in FORGOTTEN:
        found: list[Any] = await payout.fetch(
            f"SELECT *, count(*) OVER () AS found FROM ({query}) AS f ORDER BY cycle, recipient_id LIMIT {EXAMPLES_MAX}"
        )
        for row in found:
            invariant.wrong(f"{row['recipient_id']} in {row['cycle']}: {sentence.format(**dict(row))}")
        if found:
            invariant.more(found[0]["found"] - len(found))
