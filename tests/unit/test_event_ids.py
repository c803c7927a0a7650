"""Ids of events follow from their causes, and stay what they are: a replay is recognised by them years later."""

import pytest

from salur.contract.examples import example
from shared.events import EligibilityDecided, caused_by, first_cause

SUBJECT = "r-" + "0" * 32


@pytest.mark.parametrize(
    ("distinct", "expected"),
    [("sembako", "d717167c550f69fccd1c03751f200846"), ("sembakó", "b73c3aa7a68e871f964e27f94de578c3")],
)
def test_an_id_never_changes(distinct: str, expected: str) -> None:
    decided = example(EligibilityDecided)
    cause = first_cause("c-1", "a source")
    event = caused_by(cause, "eligibility", decided.data, subject=SUBJECT, time=decided.time, distinct=(distinct,))
    assert event.id == expected


def test_lengths_are_part_of_it() -> None:
    decided = example(EligibilityDecided)
    cause = first_cause("c-1", "a source")
    made = [
        caused_by(cause, "eligibility", decided.data, subject=SUBJECT, time=decided.time, distinct=distinct).id
        for distinct in (("ab", "c"), ("a", "bc"), ("abc",), ("ab", "c", ""))
    ]
    assert len(set(made)) == len(made)
