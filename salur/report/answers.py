"""Every submission is answered once: what sources sent, against what the registry answered and told.

The topics are read first and the registry's tables after them, so what was sent before must be answered by then,
unless the registry has not read so far: then it waits. The answers that were told are counted on the topics.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

import asyncpg
import orjson
from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from salur.report.dead import Dead
from salur.report.document import Funnel, Invariant
from salur.report.merging import beside, each, rows
from salur.report.moments import Micros, head_of, micros
from salur.report.scratch import Scratch
from shared.events import (
    FlagRejected,
    FlagSubmitted,
    RecipientFlagged,
    RecipientRegistered,
    RegistrationRejected,
    RegistrationSubmitted,
    RegistrationUnchanged,
)

KINDS: Final = {RegistrationSubmitted.TYPE: "registration", FlagSubmitted.TYPE: "flag"}
ANSWER_TOPICS: Final = tuple(
    model.TYPE
    for model in (RecipientRegistered, RegistrationUnchanged, RegistrationRejected, RecipientFlagged, FlagRejected)
)
_REF: Final = re.compile(rb'"submission":\{"source":"([^"\\]+)","id":"([^"\\]+)"')
_ID: Final = re.compile(rb'^\{"specversion":"1\.0","id":"([^"\\]+)"')
_REUSED: Final = b'"code":"id_reused"'
_SENT = "SELECT key, max(place), min(at_us) FROM submitted GROUP BY key ORDER BY key"
_TOLD = "SELECT key, count(*) FROM answered GROUP BY key HAVING count(*) > 1 ORDER BY key"
_ANSWERED = "SELECT source || '/' || id AS key FROM submission ORDER BY (source || '/' || id) COLLATE \"C\""


def intake_topics(names: Iterable[str]) -> list[str]:
    return sorted(name for name in names if any(name.startswith(f"{kind}.") for kind in KINDS))


def note_sent(scratch: Scratch, place: int, tp: TopicPartition, records: Iterable[ConsumerRecord]) -> None:
    """What is on intake topic number `place`. Whose it is says the topic, as for the registry: a message may state
    another source's name."""
    source = next(tp.topic.removeprefix(f"{kind}.") for kind in KINDS if tp.topic.startswith(f"{kind}."))
    sent = [
        (f"{source}/{submission}", place, tp.partition, record.offset, record.timestamp * 1000)
        for record in records
        if record.value and (submission := _sent_id(record.value))
    ]
    scratch.add("submitted", sent, 5)


def note_answers(scratch: Scratch, values: Iterable[bytes]) -> None:
    """Events of ANSWER_TOPICS."""
    scratch.add("answered", [answer for value in values if (answer := _answer(value))], 2)


def took_us(scratch: Scratch) -> Iterator[Micros]:
    """From each submission's publication to its answer, in microseconds."""
    for (us,) in scratch.rows(
        """
        SELECT a.at_us - s.at_us FROM (SELECT key, min(at_us) AS at_us FROM submitted GROUP BY key) AS s
        JOIN (SELECT key, min(at_us) AS at_us FROM answered GROUP BY key) AS a USING (key)
        """
    ):
        yield us


def _sent_id(value: bytes) -> str | None:
    """None for what is no submission in form: it is among the registry's dead letters."""
    try:
        if match := _ID.match(value):
            return match[1].decode()
        event: Any = orjson.loads(value)
        return str(event["id"])
    except (ValueError, LookupError, TypeError):
        return None


def _answer(value: bytes) -> tuple[str, Micros] | None:
    """The submission and when it was answered. None for what is told beside the answer: an id used once more."""
    event: Any
    try:
        if _REUSED in value:
            event = orjson.loads(value)
            if [problem["code"] for problem in event["data"].get("problems", ())] == ["id_reused"]:
                return None
        match, head = _REF.search(value), head_of(value)
        if match and head:
            return f"{match[1].decode()}/{match[2].decode()}", head.at
        event = orjson.loads(value)
        ref = event["data"]["submission"]
        return f"{ref['source']}/{ref['id']}", micros(event["time"])
    except (ValueError, LookupError, TypeError, AttributeError):
        return None


async def answered_once(
    registry: asyncpg.Connection, scratch: Scratch, intake: list[str], dead: Dead, funnel: Funnel
) -> Invariant:
    """`registry` is looked at after the topics were read."""
    invariant = Invariant(name="every_submission_answered_once")
    read_to = await _read_to(registry)
    kinds = {one.kind: one for one in funnel.submissions}
    for one in kinds.values():
        one.sent = one.waiting = 0
    sent = each(scratch.rows(_SENT))
    async for submission, answer in beside(sent, rows(registry, _ANSWERED), lambda row: row[0], lambda row: row["key"]):
        if submission is None:
            continue
        key, place, _ = submission
        kind = kinds[_kind(intake[place])]
        kind.sent = (kind.sent or 0) + 1
        if answer is not None:
            continue
        copies = [
            (intake[place], partition, offset)
            for place, partition, offset in scratch.rows(
                "SELECT place, partition, offset FROM submitted WHERE key = ?", key
            )
        ]
        if any(copy in dead.origins for copy in copies):
            kind.dead += 1
        elif all(offset >= read_to.get((topic, partition), 0) for topic, partition, offset in copies):
            kind.waiting = (kind.waiting or 0) + 1
        else:
            topic, partition, offset = copies[0]
            invariant.wrong(f"{key}: read by the registry ({topic}/{partition} offset {offset}), and never answered")
    for key, count in scratch.rows(_TOLD):
        invariant.wrong(f"{key}: answered {count} times")
    return invariant


async def _read_to(registry: asyncpg.Connection) -> dict[tuple[str, int], int]:
    rows = await registry.fetch("SELECT topic, partition, next_offset FROM input_position")
    return {(row["topic"], row["partition"]): row["next_offset"] for row in rows}


def _kind(topic: str) -> str:
    return next(kind for prefix, kind in KINDS.items() if topic.startswith(f"{prefix}."))
