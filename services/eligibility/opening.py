"""Opens what the registry sealed for `eligibility`. Erased is a normal state: there are no facts then."""

from dataclasses import dataclass

import structlog

from services.eligibility.domain.facts import (
    FACTS_SCHEMA,
    FLAGS_SCHEMA,
    Facts,
    FactsInvalid,
    parse_facts,
    parse_flags,
)
from shared.errors import CannotOpen, Erased
from shared.privacy.keyring import Keyring

log = structlog.get_logger()

NO_FLAGS: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Opener:
    """None stands for erased. What arrives and does not open raises (its event is poison); what lies in our own table
    and does not open any more is logged and treated as erased, because a neighbour's event must not fail for it."""

    keyring: Keyring

    def facts(self, recipient_id: str, sealed: str) -> Facts | None:
        """Raises CannotOpen, FactsInvalid."""
        try:
            return parse_facts(self.keyring.open(sealed, "eligibility", recipient=recipient_id, schema=FACTS_SCHEMA))
        except Erased:
            return None

    def flags(self, recipient_id: str, sealed: str) -> frozenset[str] | None:
        """Raises CannotOpen, FactsInvalid."""
        try:
            return parse_flags(self.keyring.open(sealed, "eligibility", recipient=recipient_id, schema=FLAGS_SCHEMA))
        except Erased:
            return None

    def stored_facts(self, recipient_id: str, sealed: str) -> Facts | None:
        try:
            return self.facts(recipient_id, sealed)
        except (CannotOpen, FactsInvalid) as error:
            log.error("stored facts do not open", recipient=recipient_id, error=type(error).__name__)
            return None

    def stored_flags(self, recipient_id: str, sealed: str | None) -> frozenset[str] | None:
        if sealed is None:
            return NO_FLAGS
        try:
            return self.flags(recipient_id, sealed)
        except (CannotOpen, FactsInvalid) as error:
            log.error("stored flags do not open", recipient=recipient_id, error=type(error).__name__)
            return None
