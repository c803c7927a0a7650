"""One trace id runs from a submission to the last message about it: the source's own, where it brought one."""

import pytest

from salur.contract.examples import example
from salur.inside.trace.story import trace_id
from shared.events import (
    EligibilityDecided,
    NotificationSent,
    PayoutConfirmed,
    PayoutOrdered,
    RecipientRegistered,
    RegistrationSubmitted,
    caused_by,
)

OWN = "4bf92f3577b34da6a3ce929d0e0e4736"
AFTER = (RecipientRegistered, EligibilityDecided, PayoutOrdered, PayoutConfirmed, NotificationSent)


def traceparents(brought: str | None) -> list[str]:
    """Of the cause that a submission is, and of what follows, one from the other."""
    submitted = example(RegistrationSubmitted).model_copy(update={"traceparent": brought})
    cause = submitted.cause
    found = [cause.traceparent]
    for model in AFTER:
        event = caused_by(cause, "any", example(model).data, subject="r-1", time=submitted.time)
        found.append(str(event.traceparent))
        cause = event.cause
    return found


def test_a_sources_own_trace_goes_on_to_the_message() -> None:
    found = traceparents(f"00-{OWN}-00f067aa0ba902b7-01")
    assert {trace_id(one) for one in found} == {OWN}
    assert len({one.split("-")[2] for one in found}) == len(found), "each event is a span of its own"


@pytest.mark.parametrize("brought", [None, "", "00-zz", f"00-{OWN.upper()}-00f067aa0ba902b7-01"])
def test_where_none_was_brought_or_none_that_is_valid_one_is_made(brought: str | None) -> None:
    found = traceparents(brought)
    (made,) = {trace_id(one) for one in found}
    assert made
    assert made != OWN
    assert traceparents(None) == found, "the same submission is always the same trace"


def test_what_is_no_traceparent_has_no_trace() -> None:
    assert [trace_id(one) for one in (None, 7, "", "00-aa")] == [None] * 4
