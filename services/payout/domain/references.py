"""The bank's idempotency keys: they follow from the business, so a restored database makes the same ones again."""

from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

LENGTH_MIN: Final = 20
LENGTH_MAX: Final = 64
"""SNAP BI allows 64, some banks take 20: hexadecimal digits, 80 bits at least."""


def reference(programme: str, cycle: str, recipient_id: str, attempt: int, length: int) -> str:
    """The partnerReferenceNo of one attempt: `length` hexadecimal digits, none of them random."""
    if not LENGTH_MIN <= length <= LENGTH_MAX:
        raise ValueError(f"a reference has {LENGTH_MIN} to {LENGTH_MAX} characters")
    return _digest((programme, cycle, recipient_id, str(attempt)))[:length]


def bulk_reference(references: Iterable[str], sends: int) -> str:
    """The partnerBulkId of one call: what it carries, and how often that was sent so far, `sends`, all orders together.
    Each call with the same orders makes that more, so no two have one id."""
    return _digest(("bulk", str(sends), *references))[:32]


def _digest(parts: Iterable[str]) -> str:
    joined = b"".join(b"%d:%b" % (len(raw), raw) for raw in (part.encode() for part in parts))
    return blake2b(joined, digest_size=32).hexdigest().upper()
