"""Planted against found: every class of defect, and the rupiah that were not paid because of it."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

import asyncpg

from salur.report import truth
from salur.report.document import Defects
from salur.report.entitled import Entitled
from salur.report.found_flags import FoundFlags, packed
from salur.report.found_rows import FoundRows
from salur.report.scratch import Scratch
from salur.report.tally import Tally
from shared.privacy.keyring import Keyring

_AT_ONCE: Final = 2000


async def find(
    folder: Path,
    tokens: Sequence[str],
    keyring: Keyring,
    registry: asyncpg.Connection,
    eligibility: asyncpg.Connection,
    payout: asyncpg.Connection,
    paying: frozenset[str],
    scratch: Scratch,
) -> Defects:
    """`paying`: programmes with an approved cycle; only their rupiah count. Raises NoTruth."""
    tally = Tally()
    entitled = await Entitled.of(eligibility, paying)
    people = {keyring.recipient_id(one.nik): one for one in truth.flagged(folder)}
    worth: dict[str, dict[str, int]] = {}
    known: set[bytes] = set()
    found_rows = FoundRows(scratch, eligibility, keyring, entitled, tally)
    await found_rows.load(registry)
    for some in _chunks(truth.rows(folder, tokens)):
        await found_rows.take(some)
        for row in some:
            if row.truth["wins"]:
                recipient = keyring.recipient_id(row.truth["nik"])
                known.add(packed(recipient))
                if recipient in people:
                    worth[recipient] = entitled.idr(row.cells)
    found_flags = FoundFlags(registry, eligibility, payout, entitled, tally)
    for some in _chunks(people.items()):
        await found_flags.take(some, worth)
    await found_flags.alarms(known)
    population = truth.about(folder)
    return Defects(
        families=population.get("families", 0),
        seed=population.get("seed"),
        classes=list(tally.classes.values()),
        planted=tally.total("planted"),
        found=tally.total("found"),
        missed=tally.total("missed"),
        waiting=tally.total("waiting"),
        false_alarm=tally.total("false_alarm"),
        kept_idr=tally.total("kept_idr"),
        paid_idr=tally.total("paid_idr"),
        programmes=entitled.programmes,
    )


def _chunks(items: Iterable[Any]) -> Iterator[list[Any]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, _AT_ONCE)):
        yield chunk
