"""A dead letter's body may be anything: masked, it shows its form and nobody's data."""

import json
from typing import Any

import pytest

from shared.privacy.bodies import masked_body
from shared.privacy.scrub import GONE

SEALED = "eli-abcdefgh." + "A" * 40


def masked(body: Any) -> Any:
    return json.loads(masked_body(json.dumps(body).encode()))


def test_the_form_of_an_event_is_shown() -> None:
    event = {
        "specversion": "1.0",
        "id": "file-7",
        "source": "polman",
        "type": "recipient.registered",
        "subject": "r-0123456789abcdef0123456789abcdef",
        "time": "2026-11-24T08:00:00Z",
        "data": {
            "revision": 2,
            "village": "7604012001",
            "registered_at": "2026-11-24T08:00:00.5Z",
            "eligibility": SEALED,
            "payment": None,
        },
    }
    shown = masked(event)
    assert shown.pop("data") == event["data"] | {"eligibility": "<sealed eli-abcdefgh 30 B>"}  # type: ignore[operator]
    assert shown == {name: value for name, value in event.items() if name != "data"}


@pytest.mark.parametrize(
    "data",
    [
        {"nama_lengkap": "Siti Aminah"},
        {"namaPenerima": "Siti Aminah"},
        {"nama ibu kandung": "Siti Aminah"},
        {"catatan": "siti aminah"},
        {"Siti Aminah": 3},
        {"daftar": [["Siti Aminah"], {"x": {"y": "Siti Aminah"}}]},
        {"tgl_lahir": "1990-08-17", "lahir": "1990-08-17"},
        {"x": 7604011203870001, "y": "7604011203870001", "village": "7604011203870001"},
    ],
)
def test_whatever_a_field_is_called_nobody_is_shown(data: dict[str, Any]) -> None:
    for body in ({"type": "x", "data": data}, data):
        shown = json.dumps(masked(body))
        assert not any(private in shown.lower() for private in ("siti", "aminah", "1990", "7604011203870001"))


def test_a_number_in_the_envelope_is_masked_too() -> None:
    assert masked({"id": "7604011203870001", "source": ["siti"]}) == {"id": "[nik]", "source": [GONE]}


@pytest.mark.parametrize("body", [b"7604011203870001,siti aminah", b"[]", b"\xff", b"", b'"siti"'])
def test_of_what_is_no_object_the_length_alone_is_told(body: bytes) -> None:
    assert masked_body(body) == f"[{len(body)} bytes that are no JSON object]"
