"""Asks the bank about what a lost database may have sent, before more is sent to those people. Idle without a recovery.

`held` and a line in `contradiction` are the end where the bank has what the books cannot take in: only a person can
find out what was paid, and until then nothing is sent to this recipient in this cycle.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic
from typing import Any

import structlog

from services.payout.channels import Channel, NotSent, OutcomeUnknown
from services.payout.configuration import Bank, Configuration
from services.payout.domain.answers import Answer, Said
from services.payout.domain.doubt import Adopted, Case, Clear, Held, Later, resolve
from services.payout.domain.references import reference
from services.payout.domain.states import PayoutState
from services.payout.metrics import CONTRADICTIONS
from services.payout.store import doubts, orders
from services.payout.store.doubts import Resolved
from services.payout.worker import CLAIM_MARGIN_S
from shared.errors import Trouble
from shared.runtime.emit import Outbox

log = structlog.get_logger()

Key = tuple[str, str]
"""Recipient and cycle."""


@dataclass(frozen=True, slots=True)
class DoubtWorker:
    """One bank's; `turn` is a worker's turn."""

    name: str
    bank: Bank
    channel: Channel
    outbox: Outbox
    configuration: Configuration
    passed_over_max: int = 2000

    async def turn(self) -> int:
        """Asks about some, and writes what follows. Raises trouble after writing it."""
        async with self.outbox.transaction() as transaction:
            tx = transaction.tx
            asked_at = await orders.clock(tx)
            later_at = asked_at + timedelta(seconds=self.bank.inquiry_pause_max_s)
            await doubts.pass_over(tx, self.name, asked_at, later_at, self.passed_over_max)
            again_at = asked_at + timedelta(seconds=self.bank.call_timeout_s + CLAIM_MARGIN_S)
            programmes = [n for n, programme in self.configuration.programmes.items() if programme.channel == self.name]
            rows = await doubts.claim(tx, programmes, asked_at, again_at, self.bank.orders_a_call)
            known = await doubts.references(tx, [(row["recipient_id"], row["cycle"]) for row in rows])
        if not rows:
            return 0
        asked = {
            self._reference(row, attempt, known): (_key(row), attempt) for row in rows for attempt in _attempts(row)
        }
        answers, trouble = await self._ask(list(asked), asked_at)
        said: dict[Key, dict[int, Answer]] = {_key(row): {} for row in rows}
        for answer in answers:
            key, attempt = asked[answer.reference]
            said[key][attempt] = answer
        await self._record(said, asked_at)
        if trouble:
            raise trouble
        return len(rows)

    async def _ask(self, references: Sequence[str], asked_at: datetime) -> tuple[list[Answer], Trouble | None]:
        answers: list[Answer] = []
        most, began_s = self.bank.orders_a_call, monotonic()
        for start in range(0, len(references), most):
            try:
                stamped_at = asked_at + timedelta(seconds=monotonic() - began_s)
                answers += await self.channel.ask(references[start : start + most], stamped_at=stamped_at)
            except (NotSent, OutcomeUnknown) as error:
                return answers + [Answer(one, Said.UNCLEAR) for one in references[start:]], error
        return answers, None

    async def _record(self, said: Mapping[Key, Mapping[int, Answer]], asked_at: datetime) -> None:
        async with self.outbox.transaction() as transaction:
            tx = transaction.tx
            rows = await doubts.lock(tx, sorted(said))
            now = await orders.clock(tx)
            resolved: list[Resolved] = []
            adopted: list[Key] = []
            cleared: list[Key] = []
            contradictions: list[tuple[str, str]] = []
            for key, row in rows.items():
                found = resolve(
                    _case(row),
                    said[key],
                    since=row["doubtful_since"],
                    asked_at=asked_at,
                    now=now,
                    pauses=self.bank.pauses,
                )
                match found:
                    case Clear():
                        resolved.append(Resolved(*key, "clear", now))
                        cleared.append(key)
                    case Adopted():
                        resolved.append(Resolved(*key, "clear", now))
                        adopted.append(key)
                    case Later(due_at):
                        resolved.append(Resolved(*key, "open", due_at))
                    case Held(attempt, _):
                        resolved.append(Resolved(*key, "held", now))
                        contradictions.append((said[key][attempt].reference, _detail(found)))
            if resolved:
                await doubts.resolve(tx, resolved)
            if cleared:
                await doubts.release(tx, cleared, now)
            if adopted:
                await doubts.adopt(tx, adopted, now)
            if contradictions:
                log.critical("the bank has what a restored database does not know of", count=len(contradictions))
                CONTRADICTIONS.inc(len(contradictions))
                await orders.report_contradictions(tx, contradictions, now)

    def _reference(self, row: Any, attempt: int, known: Mapping[tuple[Key, int], str]) -> str:
        """The one that the attempt has here, where it was begun; else the one that the lost database must have made."""
        return known.get((_key(row), attempt)) or reference(
            row["programme"], row["cycle"], row["recipient_id"], attempt, self.bank.reference_length
        )


def _key(row: Any) -> Key:
    return row["recipient_id"], row["cycle"]


def _attempts(row: Any) -> range:
    return range(row["attempt_from"], row["attempt_max"] + 1)


def _case(row: Any) -> Case:
    state = PayoutState(row["state"]) if row["state"] else None
    return Case(
        row["attempt_from"],
        row["attempt_max"],
        row["lost_idr"],
        state,
        row["attempt"] or 0,
        row["amount_idr"] or 0,
        bool(row["eligible"]),
    )


def _detail(held: Held) -> str:
    return f"the bank says {held.said}, and attempt {held.attempt} was lost with a database that was restored"
