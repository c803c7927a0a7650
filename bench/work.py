"""What every competitor of `bench.stage` does with an event: one row in PostgreSQL and one event out.

The models, the row and the decision are the same for all; only what stands around them differs. No competitor looks
anything up, so that the figures tell what carrying an event costs and not what deciding does.
"""

from datetime import datetime

from salur.contract.examples import example
from shared.events import EligibilityDecided, Event, RecipientRegistered, caused_by

INPUT = "recipient.registered"
OUTPUT = "eligibility.decided"
PARTITIONS = 8

TABLE = """
    CREATE SCHEMA bench;
    CREATE TABLE bench.decided (recipient text PRIMARY KEY, event_id text NOT NULL);
    GRANT USAGE ON SCHEMA bench TO PUBLIC;
    GRANT SELECT, INSERT ON bench.decided TO PUBLIC;
"""
INSERT = "INSERT INTO bench.decided (recipient, event_id) SELECT * FROM unnest($1::text[], $2::text[])"
INSERT_AGAIN = f"{INSERT} ON CONFLICT DO NOTHING"
"""For those who may be handed an event twice."""

_DECISION = example(EligibilityDecided).data


def decide(event: Event[RecipientRegistered], at: datetime) -> Event[EligibilityDecided]:
    """The event that follows; its id follows from the cause's, so that whoever decides again says the same."""
    return caused_by(event.cause, "eligibility", _DECISION, subject=event.subject, time=at)
