"""Making a checkpoint: each service's heads at one moment of its database, and the ledger's."""

from collections.abc import Mapping

from salur.inside.audit import ledger, snapshot
from salur.inside.audit.chain import Head
from salur.inside.audit.checkpoint import Checkpoint, LedgerHead, LedgerMark, Statement, TopicHead, sign, timestamp
from salur.inside.audit.progress import Progress, Silent
from salur.inside.audit.signing import SigningKey
from salur.inside.connect import database
from shared import clock
from shared.errors import SalurError
from shared.events.topics import Service, outputs_of
from shared.runtime.positions import Place
from shared.settings import PostgresSettings


class WentBack(SalurError):
    """A database is behind the checkpoint before."""


async def make(
    settings: PostgresSettings, key: SigningKey, previous: Checkpoint | None = None, progress: Progress | None = None
) -> Checkpoint:
    """Reads all heads and signs them. It only reads, and keeps nobody from working.

    Raises Away, NeverRan, StillOpen, and WentBack when `previous` holds more than the databases.
    """
    tell = progress or Silent()
    made_at = timestamp(clock.now())
    heads: list[TopicHead] = []
    for stage in await snapshot.owners(settings):
        tell.begin(f"the heads of {stage}", 0)
        async with (
            database(settings, stage) as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            heads += _listed(stage, await snapshot.written(connection))
    tell.begin("the ledger", 0)
    books = await _books(settings, tell)
    statement = Statement(
        made_at=made_at,
        previous=previous.sha256 if previous else None,
        heads=tuple(heads),
        ledger=LedgerHead(
            last_id=books.last_id,
            transfers=books.transfers,
            digest=books.digest.hex(),
            marks=tuple(LedgerMark(id=mark.id, digest=mark.digest.hex()) for mark in books.marks),
            balances_idr=ledger.balances(books),
        ),
        key=key.id,
    )
    if previous:
        _refuse_going_back(previous, statement)
    return sign(statement, key)


def _listed(stage: Service, written: Mapping[Place, Head]) -> list[TopicHead]:
    """What this stage alone writes, as far as it has written anything."""
    own = outputs_of(stage)
    return [
        TopicHead(
            stage=stage,
            topic=place.topic,
            partition=place.partition,
            next_sequence=head.next_sequence,
            digest=head.digest.hex(),
        )
        for place, head in sorted(written.items())
        if place.topic in own and head.next_sequence > 0
    ]


async def _books(settings: PostgresSettings, tell: Progress) -> ledger.Books:
    async with database(settings, "payout") as connection:
        last_id = await ledger.settled(connection)
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            return await ledger.books(connection, last_id, advance=tell.advance)


def _refuse_going_back(previous: Checkpoint, now: Statement) -> None:
    present = {head.place: head for head in now.heads}
    for before in previous.heads:
        head = present.get(before.place)
        following = head.next_sequence if head else 0
        if following < before.next_sequence or (
            head and following == before.next_sequence and head.digest != before.digest
        ):
            raise WentBack(
                f"the database of {before.stage} does not follow on the checkpoint of {previous.made_at}: "
                f"{before.topic}/{before.partition} stands at sequence {following - 1} now, and stood at "
                f"{before.next_sequence - 1}" + (", with another digest" if following == before.next_sequence else ""),
                hint="`salur audit verify --since` says what differs; do not make a checkpoint over it",
            )
    if now.ledger.last_id < previous.ledger.last_id or now.ledger.transfers < previous.ledger.transfers:
        raise WentBack(
            f"payout.transfer holds {now.ledger.transfers:,} transfers up to id {now.ledger.last_id}, the checkpoint "
            f"of {previous.made_at} {previous.ledger.transfers:,} up to {previous.ledger.last_id}",
            hint="`salur audit verify --since` says what differs; do not make a checkpoint over it",
        )
