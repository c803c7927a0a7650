"""Messages by their state, against the carrier's books of what phones really got."""

from collections import Counter

import asyncpg

from salur.report.document import CarrierBooks, Invariant, Messages, MessageState
from salur.report.merging import beside, each, rows
from salur.report.scratch import Scratch

ARRIVED = ("delivered", "read")
_CARRIER = "SELECT message_id, count(*) FROM carrier GROUP BY message_id ORDER BY message_id"
_NOTIFY = """
SELECT message_id, recipient_id, purpose, channel, state FROM message ORDER BY message_id COLLATE "C"
"""


async def states(notify: asyncpg.Connection, messages: Messages) -> None:
    """How many messages are in which state."""
    for row in await notify.fetch(
        """
        SELECT channel, kind, state, sum(messages)::bigint AS messages
        FROM message_count GROUP BY 1, 2, 3 ORDER BY 1, 2, 4 DESC, 3
        """
    ):
        one = MessageState(**dict(row))
        messages.states.append(one)
        messages.by_state[one.state] = messages.by_state.get(one.state, 0) + one.messages
    for row in await notify.fetch(
        """
        SELECT code, sum(messages)::bigint AS n FROM message_count WHERE state = 'failed'
        GROUP BY 1 ORDER BY 2 DESC, 1
        """
    ):
        messages.failed_by_code[row["code"] or "unknown"] = row["n"]


async def told_twice(notify: asyncpg.Connection, scratch: Scratch, messages: Messages) -> Invariant:
    """By the carrier's books no message came twice to a phone, and none that notify knows nothing of: it could be told
    again.

    A message is one recipient, purpose and channel (its id follows from them). `scratch` holds the carrier's books as
    they were before `notify` was looked at.
    """
    invariant = Invariant(name="told_twice_on_a_channel")
    books = CarrierBooks()
    got: Counter[tuple[str, str, str]] = Counter()
    carrier = each(scratch.rows(_CARRIER))
    async for one, told in beside(rows(notify, _NOTIFY), carrier, lambda row: row["message_id"], lambda row: row[0]):
        if told is None:
            assert one is not None
            books.delivered_not_got += one["state"] in ARRIVED
            continue
        books.got += told[1]
        if one is None:
            books.unknown_to_notify += 1
            invariant.wrong(f"message {told[0] or 'without an id'}: a phone got it, notify knows nothing of it")
            continue
        books.known += 1
        kind = one["purpose"].split(":", 1)[0]
        got[one["channel"], kind, one["state"]] += 1
        books.not_yet_known += one["state"] not in ARRIVED
        if told[1] > 1:
            what = f"{one['recipient_id']} about {one['purpose']} on {one['channel']}"
            invariant.wrong(f"{what}: message {one['message_id']} came {told[1]} times")
    for state in messages.states:
        state.got = got[state.channel, state.kind, state.state]
    messages.carrier = books
    return invariant
