"""No id that stands in the clear holds a number of the person."""

from typing import Any

import pytest

from shared.privacy.leaks import leaks

PERSON: dict[str, Any] = {
    "nik": "7604 0157 0890 0001",
    "kk": "7604.0112.0315.0007",
    "phone": "+62 812-3456-7890",
    "account": {"bank": "002", "number": "12345678"},
    "birth_date": "1990-08-17",
    "village": "7604012002",
}


@pytest.mark.parametrize(
    "event_id",
    [
        "7604015708900001",
        "case/7604.0157.0890.0001/2",
        "7604-0112-0315-0007",
        "wa:6281234567890",
        "081234567890",
        "rek-12345678",
        "karama-operator/7604015708900001",
    ],
)
def test_a_number_of_the_person_is_seen_however_it_is_written(event_id: str) -> None:
    assert leaks(event_id, PERSON)


@pytest.mark.parametrize(
    "event_id",
    ["1", "7604012002-1990-08-17", "batch-7-000042", "7604015708900002", "0b0e9a5c-7604-4157-8908-900012345678", ""],
)
def test_other_numbers_are_let_through(event_id: str) -> None:
    assert not leaks(event_id, PERSON | {"account": None})


def test_a_number_that_is_no_text_is_seen_too() -> None:
    assert leaks("7604015708900001", {"nik": 7604015708900001})
    assert leaks("08123456789012", {"phone": 8123456789012})


@pytest.mark.parametrize(
    "content",
    [
        {"NIK": "7604015708900001"},
        {"no_kk": 7604015708900001},
        {"data": {"person": [{"id": "7604.0157.0890.0001"}]}},
        [["7604015708900001"]],
        7604015708900001,
        {"tel": "0760401570890"},
    ],
)
def test_a_number_under_another_name_is_seen(content: object) -> None:
    assert leaks("7604015708900001", content)


def test_where_people_have_no_numbers_none_is_looked_for() -> None:
    assert not leaks("7604012002-19900817-12500000000", {"village": "7604012002", "income_idr": 12500000000})


@pytest.mark.parametrize("content", [None, [], {}, {"nik": None, "account": []}, {"nik": ""}])
def test_what_holds_no_number_leaks_none(content: object) -> None:
    assert not leaks("7604015708900001", content)
