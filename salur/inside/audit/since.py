"""What checkpoints hold, as an audit needs it: marks for each partition's chain, and the ledger's."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from salur.inside.audit import ledger
from salur.inside.audit.chain import Head, Mark
from salur.inside.audit.checkpoint import Checkpoint
from salur.inside.audit.result import Finding, Findings, Kind, SinceAudit
from salur.inside.connect import database
from shared.events.topics import Service, outputs_of
from shared.runtime.positions import Place
from shared.settings import PostgresSettings

_SHOWN_MAX: Final = 5


@dataclass(frozen=True, slots=True)
class Since:
    """Checkpoints whose signatures are right, any number of them. `only_new`: what is below the last is not read."""

    checkpoints: Sequence[Checkpoint] = ()
    only_new: bool = False

    def by_place(self, stages: Sequence[Service]) -> dict[Place, list[Mark]]:
        """The marks of every partition that these stages had written to, in the order of their sequences."""
        found: dict[Place, list[Mark]] = defaultdict(list)
        for one in self.checkpoints:
            for head in one.heads:
                if head.stage in stages:
                    found[head.place].append(Mark(head.next_sequence, bytes.fromhex(head.digest), one.made_at))
        return {place: sorted(marks) for place, marks in found.items()}

    def owners(self) -> set[Service]:
        """Whose heads stand in the checkpoints."""
        return {head.stage for one in self.checkpoints for head in one.heads}

    def base(self, marks: Sequence[Mark]) -> Head:
        """Where reading a partition begins."""
        return Head(*marks[-1][:2]) if self.only_new and marks else Head()

    def compared(self, stages: Sequence[Service]) -> list[SinceAudit]:
        return [
            SinceAudit(
                made_at=one.made_at,
                sha256=one.sha256,
                heads=sum(head.stage in stages for head in one.heads),
                transfers=one.ledger.transfers if "payout" in stages else 0,
            )
            for one in self.checkpoints
        ]

    def find_unknown_topics(self, stages: Sequence[Service], findings: Findings) -> None:
        """Topics that a checkpoint holds and this version of salur does not know: they are not passed over."""
        for one in self.checkpoints:
            for head in one.heads:
                if head.stage in stages and head.topic not in outputs_of(head.stage):
                    findings.add(
                        Finding(
                            kind=Kind.CHECKPOINT_MISSING,
                            stage=head.stage,
                            topic=head.topic,
                            partition=head.partition,
                            detail=f"{head.topic}/{head.partition}: {head.stage} writes no such topic, the checkpoint "
                            f"of {one.made_at} holds up to sequence {head.next_sequence - 1}",
                        )
                    )


async def compare_ledger(
    settings: PostgresSettings, since: Since, findings: Findings, advance: Callable[[int], None]
) -> None:
    """Whether the transfers that checkpoints hold are still there as they were, and none has slipped under them."""
    latest = max(since.checkpoints, key=lambda one: one.ledger.last_id)
    known: dict[int, set[str]] = {}
    for one in since.checkpoints:
        for held in one.ledger.every_mark:
            known.setdefault(held.id, set()).add(held.digest)
    async with (
        database(settings, "payout") as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        found = await ledger.books(connection, latest.ledger.last_id, marks_at=sorted(known), advance=advance)
    proven = 0
    for mark in found.marks:
        if known[mark.id] != {mark.digest.hex()}:
            findings.add(_differing_ledger(proven, mark.id, latest, found))
            return
        proven = mark.id


def _differing_ledger(proven: int, up_to: int, latest: Checkpoint, found: ledger.Books) -> Finding:
    said = (
        f"a transfer with an id from {proven + 1} to {up_to} is not as it was at the checkpoint of {latest.made_at}, "
        f"or was added or removed ({found.transfers:,} transfers, the checkpoint holds {latest.ledger.transfers:,})"
    )
    differing = _differing_balances(latest.ledger.balances_idr, ledger.balances(found))
    if differing:
        said += "; balances that follow from them: " + ", ".join(differing[:_SHOWN_MAX])
    return Finding(
        kind=Kind.CHECKPOINT_LEDGER,
        stage="payout",
        table="transfer",
        key=f"{proven + 1}-{up_to}",
        detail=f"payout.transfer: {said}",
    )


def _differing_balances(held: Mapping[str, Mapping[str, int]], found: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Accounts whose balance is another one, in words."""
    accounts = sorted({(cycle, name) for books in (held, found) for cycle, names in books.items() for name in names})
    differing = []
    for cycle, name in accounts:
        was, now = held.get(cycle, {}).get(name, 0), found.get(cycle, {}).get(name, 0)
        if was != now:
            differing.append(f"{cycle} {name} Rp{now}, not Rp{was}")
    return differing
