"""The sweep: whoever was decided under earlier rules is decided anew."""

from dataclasses import dataclass

from services.eligibility import store
from services.eligibility.casefile import Casefile, Office
from shared.clock import now
from shared.events.eligibility import EligibilityDecided
from shared.events.envelope import Cause, Event
from shared.runtime.emit import Outbox


@dataclass(frozen=True, slots=True)
class Sweep:
    """Each turn takes up to `rows_max` recipients, in a transaction of its own. Recipients that another worker holds
    are left for a later turn, so any number of processes may sweep beside the stage.

    It only looks below its own rules' number: during a rolling restart an instance with the earlier rules undoes
    nothing, and what it still decides is found by the newer ones.
    """

    office: Office
    outbox: Outbox
    rows_max: int

    async def turn(self) -> int:
        """How many recipients were looked at; 0: all current decisions follow from these rules or later ones."""
        async with self.outbox.transaction() as transaction:
            rows = await store.lock_outdated(transaction.tx, self.office.rulebook_id, self.rows_max)
            if not rows:
                return 0
            casefile = await Casefile.open(self.office, now(), transaction.tx, rows, ())
            answers: list[Event[EligibilityDecided]] = []
            for row in rows:
                person = casefile.book.people[row.recipient_id]
                decisions = casefile.book.decide(person, casefile.book.outdated(person))
                answers += casefile.answer(decisions, self._cause(casefile.causes[row.recipient_id]), by_rules=True)
            await casefile.close(transaction.tx)
            await store.mark_decided(transaction.tx, [row.recipient_id for row in rows], self.office.rulebook_id)
            transaction.emit(answers)
            return len(rows)

    def _cause(self, registration: Cause) -> Cause:
        """The rules are the cause, the same for all their decisions, so that a recipient gets one message for them;
        what everything began with stays the recipient's own submission."""
        return Cause(f"rules-{self.office.rulebook.digest[:32]}", registration.correlation_id, registration.traceparent)
