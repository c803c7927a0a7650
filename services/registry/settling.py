"""What becomes of the valid submissions of a batch: verdicts, rows to write and events to tell. No database here."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, NamedTuple

import orjson

from services.registry import store
from services.registry.domain.checks import Facts, Flagging
from services.registry.domain.fold import (
    ANSWERS,
    Flag,
    FlagOrder,
    Flags,
    Known,
    Order,
    Stated,
    Submitted,
    Verdict,
    settle,
    settle_flags,
)
from services.registry.domain.submission import FLAG_CODES
from services.registry.fingerprint import Fingerprint
from services.registry.reading import Read
from shared.events import Data, RecipientFlagged, RecipientRegistered, RegistrationUnchanged, SubmissionRef
from shared.privacy import Keyring, Sealed

ELIGIBILITY_SCHEMA: Final = "eligibility/1"
PAYMENT_SCHEMA: Final = "payment/1"
CONTACT_SCHEMA: Final = "contact/1"
FLAGS_SCHEMA: Final = "flags/1"


class Verdicts(NamedTuple):
    """What became of the valid submissions of a batch, by index, and what is to be written."""

    answers: dict[int, tuple[str, Verdict | None]]
    events: dict[int, Data]
    new: list[store.RecipientRow]
    updated: list[store.RecipientRow]
    moved: dict[str, Order]
    flag_rows: list[store.FlagRow]
    flag_revisions: dict[str, int]


class _Change(NamedTuple):
    """A person who is registered by this batch, or known otherwise after it, and the submission that did it."""

    place: int
    recipient: str
    verdict: Literal["new", "updated"]
    submission: Read
    facts: Facts
    after: Known
    registered_at: datetime


@dataclass(frozen=True, slots=True)
class Settling:
    """Settles submissions, and seals what they say for the stages that need it."""

    keyring: Keyring
    fingerprint: Fingerprint

    def settle(
        self,
        read: Sequence[Read],
        fresh: Iterable[int],
        registered: Mapping[str, store.Registered],
        flags: Mapping[str, Flags],
        at: datetime,
    ) -> Verdicts:
        """Settles all valid submissions, one person after the other."""
        verdicts = Verdicts({}, {}, [], [], {}, [], {})
        registrations: dict[str, list[int]] = defaultdict(list)
        statements: dict[str, list[int]] = defaultdict(list)
        for index in fresh:
            one = read[index]
            if one.recipient and isinstance(one.content, Facts):
                registrations[one.recipient].append(index)
            elif one.recipient and isinstance(one.content, Flagging):
                statements[one.recipient].append(index)
        changes = [
            change
            for recipient, indexes in registrations.items()
            for change in self._register(recipient, indexes, read, registered.get(recipient), at, verdicts)
        ]
        for change, row in zip(changes, self._rows(changes), strict=True):
            (verdicts.new if change.verdict == "new" else verdicts.updated).append(row)
            verdicts.events[change.place] = _registered(row, change)
        for recipient, indexes in statements.items():
            self._flag(recipient, indexes, read, flags.get(recipient, Flags(0, {})), verdicts)
        return verdicts

    def _register(
        self,
        recipient: str,
        indexes: Sequence[int],
        read: Sequence[Read],
        before: store.Registered | None,
        at: datetime,
        verdicts: Verdicts,
    ) -> Iterator[_Change]:
        """Settles the registrations of one person; what is registered anew or changed, at most one, comes back."""
        submitted = [Submitted(_order(read[i]), self.content_digest(_facts(read[i]))) for i in indexes]
        after, each = settle(before.known if before else None, submitted)
        registered_at = before.registered_at if before else at
        for index, verdict in zip(indexes, each, strict=True):
            one = read[index]
            verdicts.answers[index] = (ANSWERS[verdict], verdict)
            if verdict == "new" or verdict == "updated":
                yield _Change(index, recipient, verdict, one, _facts(one), after, registered_at)
            else:
                verdicts.events[index] = RegistrationUnchanged(
                    revision=after.revision, submission=ref(one), reason=verdict
                )
        if before and after.revision == before.known.revision and after != before.known:
            verdicts.moved[recipient] = after.won_by

    def content_digest(self, facts: Facts) -> bytes:
        """Of everything that a later stage can see: two submissions with the same say nothing different."""
        clear = f"{facts.family_card}{facts.village}{facts.decile}".encode()
        return self.fingerprint.of_parts(clear, facts.eligibility, facts.payment, facts.contact)

    def _rows(self, changes: Sequence[_Change]) -> Iterator[store.RecipientRow]:
        """Seals what is to be written, one purpose after the other (faster than one person after the other)."""
        seal, family_id = self.keyring.seal, self.keyring.family_id
        families = [family_id(c.facts.family_card) for c in changes]
        eligibility = [
            seal("eligibility", c.facts.eligibility, recipient=c.recipient, schema=ELIGIBILITY_SCHEMA).value
            for c in changes
        ]
        payment = [
            seal("payment", c.facts.payment, recipient=c.recipient, schema=PAYMENT_SCHEMA).value
            if c.facts.payment
            else None
            for c in changes
        ]
        contact = [
            seal("contact", c.facts.contact, recipient=c.recipient, schema=CONTACT_SCHEMA).value for c in changes
        ]
        parts = zip(changes, families, eligibility, payment, contact, strict=True)
        for c, family, for_eligibility, for_payment, for_contact in parts:
            yield store.RecipientRow(
                recipient_id=c.recipient,
                revision=c.after.revision,
                registered_at=c.registered_at,
                won_submitted_at=c.after.won_by.submitted_at,
                won_source=c.after.won_by.source,
                won_id=c.after.won_by.id,
                content_digest=c.after.content,
                family_id=family,
                village=c.facts.village,
                decile=c.facts.decile,
                eligibility=for_eligibility,
                payment=for_payment,
                contact=for_contact,
            )

    def _flag(
        self, recipient: str, indexes: Sequence[int], read: Sequence[Read], before: Flags, verdicts: Verdicts
    ) -> None:
        after = settle_flags(before, [stated(read[i]) for i in indexes])
        sealed = seal_flags(self.keyring, recipient, after)
        verdicts.flag_rows.extend(
            store.FlagRow(recipient, code, flag.raised, flag.won_by.since, *flag.won_by.submission)
            for code, flag in after.by_code.items()
            if before.by_code.get(code) != flag
        )
        verdicts.flag_revisions[recipient] = after.revision
        for index in indexes:
            verdicts.answers[index] = ("flagged", None)
            verdicts.events[index] = RecipientFlagged(
                revision=after.revision, submission=ref(read[index]), flags=sealed
            )


def seal_flags(keyring: Keyring, recipient: str, flags: Flags) -> Sealed:
    """The flags that stand, for eligibility. Raises KeyMissing."""
    standing = orjson.dumps([code for code in FLAG_CODES if code in flags.standing])
    return keyring.seal("eligibility", standing, recipient=recipient, schema=FLAGS_SCHEMA)


def _facts(one: Read) -> Facts:
    assert isinstance(one.content, Facts)
    return one.content


def _order(one: Read) -> Order:
    return Order(one.submitted_at, one.source, one.id)


def stated(one: Read) -> Stated:
    said = one.content
    assert isinstance(said, Flagging)
    return Stated(said.code, Flag(said.raised, FlagOrder(said.since, _order(one))))


def ref(one: Read) -> SubmissionRef:
    return SubmissionRef(source=one.source, id=one.id, submitted_at=one.submitted_at)


def _registered(row: store.RecipientRow, change: _Change) -> RecipientRegistered:
    return RecipientRegistered(
        revision=row.revision,
        change=change.verdict,
        submission=ref(change.submission),
        registered_at=row.registered_at,
        family_id=row.family_id,
        village=row.village,
        decile=row.decile,
        eligibility=Sealed(row.eligibility),
        payment=Sealed(row.payment) if row.payment else None,
        contact=Sealed(row.contact) if row.contact else None,
    )
