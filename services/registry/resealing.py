"""What is kept of a person, sealed anew with the keys in use. No database here."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal, NamedTuple

from services.registry.domain.fold import Flags
from services.registry.handler import SERVICE
from services.registry.resealing_store import Kept
from services.registry.settling import CONTACT_SCHEMA, ELIGIBILITY_SCHEMA, PAYMENT_SCHEMA, seal_flags
from shared.errors import CannotOpen, Erased, KeyMissing
from shared.events import Cause, Event, RecipientResealed, caused_by
from shared.privacy import Keyring, Sealed

PartName = Literal["eligibility", "payment", "contact"]
Reason = Literal["erased", "cannot_open", "key_missing"]

_SCHEMAS: Final[Mapping[PartName, str]] = {
    "eligibility": ELIGIBILITY_SCHEMA,
    "payment": PAYMENT_SCHEMA,
    "contact": CONTACT_SCHEMA,
}


class NotResealed(NamedTuple):
    """One value that stays as it is, and why."""

    recipient: str
    part: PartName
    reason: Reason


@dataclass(slots=True)
class Resealed:
    """What came of it. `changed` are the rows to be written."""

    events: list[Event[RecipientResealed]] = field(default_factory=list)
    changed: list[Kept] = field(default_factory=list)
    not_resealed: list[NotResealed] = field(default_factory=list)


def reseal(keyring: Keyring, kept: Sequence[Kept], flags: Mapping[str, Flags], cause: Cause, at: datetime) -> Resealed:
    """One event for each person, also where nothing had to be sealed anew: others may still keep older values.

    What is erased stays as it is, and the person's other values go on. Who has a value that does not open, or whose
    key is not here, is left out as a whole: what may be damaged is not told to others. Raises KeyMissing where no key
    of a purpose is held at all.
    """
    done = Resealed()
    for one in kept:
        parts: dict[PartName, str | None] = {}
        faults = list(_reseal_parts(keyring, one, parts))
        done.not_resealed += faults
        if any(fault.reason != "erased" for fault in faults):
            continue
        now = one._replace(eligibility=parts["eligibility"], payment=parts["payment"], contact=parts["contact"])
        if now != one:
            done.changed.append(now)
        done.events.append(caused_by(cause, SERVICE, _told(keyring, now, flags), subject=one.recipient_id, time=at))
    return done


def _reseal_parts(keyring: Keyring, one: Kept, parts: dict[PartName, str | None]) -> Iterator[NotResealed]:
    for part, schema in _SCHEMAS.items():
        before: str | None = getattr(one, part)
        parts[part] = before
        if before is None:
            continue
        try:
            parts[part] = keyring.reseal(before, part, recipient=one.recipient_id, schema=schema).value
        except Erased:
            yield NotResealed(one.recipient_id, part, "erased")
        except CannotOpen:
            yield NotResealed(one.recipient_id, part, "cannot_open")
        except KeyMissing as error:
            if error.key_id is None:
                raise
            yield NotResealed(one.recipient_id, part, "key_missing")


def _told(keyring: Keyring, now: Kept, flags: Mapping[str, Flags]) -> RecipientResealed:
    stated = flags.get(now.recipient_id) if now.flag_revision else None
    return RecipientResealed(
        revision=now.revision,
        eligibility=_sealed(now.eligibility),
        payment=_sealed(now.payment),
        contact=_sealed(now.contact),
        flag_revision=stated.revision if stated else 0,
        flags=seal_flags(keyring, now.recipient_id, stated) if stated else None,
    )


def _sealed(text: str | None) -> Sealed | None:
    return None if text is None else Sealed(text)
