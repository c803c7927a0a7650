"""The simulated carrier decides by seed, phone and callback data alone, and tells nothing before it happened."""

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.carrier import phones, templates
from simulators.carrier.behaviour import Answer, Rates, journey, refused_at_once

ALL = Rates(timeout=0.3, not_on_whatsapp=0.3, failed=0.3, repeated=0.5, disordered=0.5)


def ways(count: int = 5000) -> list[tuple[str, str]]:
    return [(f"62812{number:08d}", f"payout:{number}") for number in range(count)]


@given(st.integers(), st.text(max_size=20), st.text(max_size=64))
def test_a_journey_is_repeatable_and_tells_nothing_before_it_happened(seed: int, phone: str, data: str) -> None:
    way = journey(seed, phone, data, ALL)
    assert way == journey(seed, phone, data, ALL)
    names = [status.name for status in way.statuses]
    assert names.count("sent") in (1, 2)
    assert (way.got_s is None) == (not {"delivered", "read"} & set(names))
    for status in way.statuses:
        assert 0 < status.happened_s <= status.posted_s <= 8
        assert (status.error is not None) == (status.name == "failed")
        if way.got_s is not None and status.name in ("delivered", "read"):
            assert status.happened_s >= way.got_s


def test_a_calm_journey_is_sent_delivered_and_read_in_order() -> None:
    calm = Rates(timeout=0, not_on_whatsapp=0, failed=0, read=1, repeated=0, disordered=0)
    for phone, data in ways(500):
        way = journey(7, phone, data, calm)
        assert way.answer is Answer.OK
        assert [status.name for status in sorted(way.statuses, key=lambda s: s.posted_s)] == [
            "sent",
            "delivered",
            "read",
        ]


def test_every_surprise_occurs() -> None:
    told = Counter[str]()
    for phone, data in ways():
        way = journey(7, phone, data, ALL)
        told[way.answer] += 1
        order = [status.name for status in sorted(way.statuses, key=lambda s: s.posted_s)]
        told["repeated"] += len(set(order)) < len(order)
        if "delivered" in order and "read" in order:
            told["read first"] += order.index("read") < order.index("delivered")
        told["read for delivered"] += "read" in order and "delivered" not in order
        if "failed" in order and "delivered" in order:
            told["delivered after failed"] += order.index("failed") < order.index("delivered")
    for surprise in (
        "silent",
        "cut",
        "repeated",
        "read first",
        "read for delivered",
        "delivered after failed",
    ):
        assert told[surprise] > 10, surprise


def test_not_on_whatsapp_is_a_property_of_the_phone() -> None:
    rates = Rates(not_on_whatsapp=0.4, failed=0)
    at_once = later = 0
    for phone, _ in ways(1000):
        errors = {journey(7, phone, f"m{number}", rates).statuses[-1].error for number in range(5)}
        if refused_at_once(7, phone, rates):
            at_once += 1
        elif 131026 in errors:
            later += 1
            assert all(journey(7, phone, f"m{number}", rates).got_s is None for number in range(5))
    assert at_once == pytest.approx(200, rel=0.3)
    assert later == pytest.approx(200, rel=0.3)


def test_templates_are_read_counted_and_filled(tmp_path: Path) -> None:
    file = tmp_path / "templates.json"
    file.write_text(json.dumps({"paid": {"id": "Yth. {{1}}, {{2}} untuk {{1}}.", "en": "Hello."}}))
    read = templates.load(file)
    assert read.parameters("paid", "id") == 2
    assert read.parameters("paid", "en") == 0
    assert read.text("paid", "id", ["Siti", "{{1}}"]) == "Yth. Siti, {{1}} untuk Siti."
    with pytest.raises(KeyError):
        read.parameters("paid", "fr")


@pytest.mark.parametrize("text", ["[]", "{", '{"a": "text"}', '{"a": {"id": "{{2}}"}}'])
def test_a_wrong_template_file_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "templates.json"
    file.write_text(text)
    with pytest.raises(ValueError, match=r"templates\.json"):
        templates.load(file)


def test_numbers_are_shown_as_people_write_them() -> None:
    assert phones.shown_number("6281234567890") == "+62 812-3456-7890"
    assert phones.shown_number("4915112345678") == "+4915112345678"
