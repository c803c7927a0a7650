"""A decision as the event that the rest of the flow reads."""

from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

import pydantic_core

from services.eligibility.domain.book import Decision
from services.eligibility.domain.reasons import DETAILS_SCHEMA, Said
from shared.events.eligibility import EligibilityDecided
from shared.events.envelope import Cause, Event, caused_by
from shared.privacy.keyring import Keyring


class Answers(NamedTuple):
    """Makes the events of decisions that follow from one cause."""

    keyring: Keyring
    cause: Cause
    at: datetime

    def event(self, decision: Decision, *, by_rules: bool) -> Event[EligibilityDecided]:
        """`by_rules`: the cause is a new version of rules. One such cause can lead to several decisions about the same
        recipient and programme over time, so the revision tells them apart; an event leads to at most one."""
        person, registration, rule, revision, verdict = decision
        details = None
        if verdict.details:
            details = self.keyring.seal(
                "particulars", _as_json(verdict.details), recipient=person.recipient_id, schema=DETAILS_SCHEMA
            )
        data = EligibilityDecided(
            programme=rule.name,
            programme_version=rule.version,
            revision=revision,
            outcome="eligible" if verdict.eligible else "ineligible",
            amount_idr=verdict.amount_idr,
            reasons=rule.sentences.reasons(verdict.codes),
            details=details,
            registration_revision=registration.revision,
            flag_revision=person.flag_revision,
            village=registration.village,
            decile=registration.decile,
            waiting_since=registration.registered_at,
            family_id=registration.family_id if rule.payee else None,
            payment=registration.payment if verdict.eligible else None,
            contact=registration.contact,
        )
        return caused_by(
            self.cause,
            "eligibility",
            data,
            subject=person.recipient_id,
            time=self.at,
            distinct=(rule.name, str(revision)) if by_rules else (rule.name,),
        )


@lru_cache(maxsize=8192)
def _as_json(details: tuple[Said, ...]) -> bytes:
    return pydantic_core.to_json([{"id": said.id, "en": said.en} for said in details])
