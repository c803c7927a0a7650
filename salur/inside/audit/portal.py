"""The portal's rows: what it shows must be what the stages said, and its counts what its own rows come to."""

from collections.abc import Iterable
from typing import Final

from salur.inside.audit.agreement import Agreement, Check, Json, Says, StageRules, micros, micros_sql, topic
from shared.events import (
    EligibilityDecided,
    NotificationDelivered,
    NotificationFailed,
    NotificationSent,
    NotificationUnknown,
    PayoutCancelled,
    PayoutConfirmed,
    PayoutFailed,
    PayoutOrdered,
    PayoutQueued,
    RecipientRegistered,
)

_PAYOUTS: Final = (PayoutQueued, PayoutOrdered, PayoutConfirmed, PayoutFailed, PayoutCancelled)
_MESSAGES: Final = (NotificationSent, NotificationDelivered, NotificationFailed, NotificationUnknown)


def _recipient(event: Json) -> Iterable[Says]:
    data = event["data"]
    fields = (str(data["revision"]), data["village"], str(data["decile"]), str(micros(data["registered_at"])))
    yield Says(event["subject"], data["revision"], fields)


def _decision(event: Json) -> Iterable[Says]:
    data = event["data"]
    fields = (str(data["revision"]), str(data["outcome"] == "eligible").lower(), str(data["amount_idr"]))
    yield Says(f"{event['subject']}/{data['programme']}", data["revision"], (*fields, str(micros(event["time"]))))


def _payout(event: Json) -> Iterable[Says]:
    data = event["data"]
    state = event["type"].removeprefix("payout.")
    fields = (str(data["revision"]), state, str(data["amount_idr"]), data["village"], data.get("reference"))
    yield Says(f"{event['subject']}/{data['cycle']}", data["revision"], fields)


def _message(event: Json) -> Iterable[Says]:
    data = event["data"]
    state = event["type"].removeprefix("notification.")
    yield Says(data["message_id"], data["revision"], (str(data["revision"]), event["subject"], state))


_COUNTS: Final = """
WITH counted AS (
    SELECT 'recipient' AS what, village, '' AS name, 'registered' AS state, count(*) AS rows, 0::numeric AS amount_idr
    FROM recipient GROUP BY village
    UNION ALL SELECT kind, coalesce(village, ''), source, answer, count(*), 0 FROM submission GROUP BY 1, 2, 3, 4
    UNION ALL SELECT 'decision', village, programme, CASE WHEN eligible THEN 'eligible' ELSE 'ineligible' END,
        count(*), sum(amount_idr) FROM decision GROUP BY 2, 3, 4
    UNION ALL SELECT 'payout', village, programme, state, count(*), sum(amount_idr) FROM payout GROUP BY 2, 3, 4
    UNION ALL SELECT 'cycle', village, cycle, state, count(*), sum(amount_idr) FROM payout GROUP BY 2, 3, 4
    UNION ALL SELECT 'message', coalesce(village, ''), channel, state, count(*), 0 FROM message GROUP BY 2, 3, 4
    UNION ALL SELECT 'dead_letter', '', service, code, count(*), 0 FROM dead_letter GROUP BY 3, 4
)
SELECT concat_ws('/', what, village, name, state),
    format('says %s rows and %s rupiah, its rows are %s and %s',
        coalesce(t.rows, 0), coalesce(t.amount_idr, 0), coalesce(c.rows, 0), coalesce(c.amount_idr, 0))
FROM (SELECT * FROM tally WHERE rows > 0) AS t
FULL JOIN counted AS c USING (what, village, name, state)
WHERE (t.rows, t.amount_idr::numeric) IS DISTINCT FROM (c.rows, c.amount_idr)
"""

RULES: Final = StageRules(
    "portal",
    (
        Agreement(
            "recipient",
            ("revision", "village", "decile", "registered_at"),
            f"SELECT recipient_id, revision::text, village, decile::text, {micros_sql('registered_at')} FROM recipient",
            {topic(RecipientRegistered): _recipient},
        ),
        Agreement(
            "decision",
            ("revision", "eligible", "amount_idr", "at"),
            f"""
            SELECT recipient_id || '/' || programme, revision::text, eligible::text, amount_idr::text,
                {micros_sql("at")}
            FROM decision
            """,
            {topic(EligibilityDecided): _decision},
        ),
        Agreement(
            "payout",
            ("revision", "state", "amount_idr", "village", "reference"),
            """
            SELECT recipient_id || '/' || cycle, revision::text, state, amount_idr::text, village, reference
            FROM payout
            """,
            {topic(model): _payout for model in _PAYOUTS},
        ),
        Agreement(
            "message",
            ("revision", "recipient_id", "state"),
            "SELECT message_id, revision::text, recipient_id, state FROM message",
            {topic(model): _message for model in _MESSAGES},
        ),
    ),
    (Check("tally", _COUNTS),),
)
