"""What may be put back: on the replay topic nothing but the message itself tells whose it is."""

import json
from typing import Any

import pytest

from shared.runtime.replay import refusal

ORIGIN = "flag.submitted.bkn"
OWN: dict[str, Any] = {
    "specversion": "1.0",
    "id": "x-1",
    "source": "bkn",
    "type": "flag.submitted",
    "subject": "x-1",
    "time": "2026-11-24T08:00:00Z",
    "data": {"sealed": {"key_id": "sub-abcdefgh", "enc": "A" * 43, "ciphertext": "A" * 64}},
}


def body(**changes: Any) -> bytes:
    return json.dumps(OWN | changes).encode()


def test_what_is_the_topics_own_is_put_back() -> None:
    assert refusal(ORIGIN, body()) == ""
    assert refusal("registration.submitted.polman", body(type="registration.submitted", source="polman")) == ""


@pytest.mark.parametrize(
    "forged",
    [
        body(source="dukcapil"),
        body(type="registration.submitted", source="polman"),
        body(type="registration.submitted", source="console", id="pusat-pengusul/form-1"),
        body(type="registration.submitted"),
        body().replace(b'"source": "bkn"', b'"source": "bkn", "source": "dukcapil"'),
        body(type="recipient.registered"),
        b"no JSON",
        b"[]",
        b"{}",
    ],
)
def test_what_a_source_wrote_in_anothers_name_is_not(forged: bytes) -> None:
    why = refusal(ORIGIN, forged)
    assert why
    assert not any(name in why for name in ("dukcapil", "polman", "console", "pusat"))


def test_what_services_wrote_goes_back_as_it_is() -> None:
    """Only they write there; a letter that failed again has been looked at when it was first put back."""
    assert refusal("recipient.registered", b"no JSON") == ""
    assert refusal("replay.registry", body(source="polman")) == ""
