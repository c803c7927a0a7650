"""NIKs and phones, however they are written."""

from datetime import date, timedelta

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.registry.domain.checks import names_somebody
from services.registry.domain.numbers import read_nik, read_phone
from services.registry.reference import reference


@given(
    st.dates(date(1920, 1, 1), date(2026, 11, 1)),
    st.sampled_from("LP"),
    st.integers(1, 9999),
    st.sampled_from(sorted(reference().districts)),
)
@settings(max_examples=300)
def test_a_nik_made_by_the_rule_is_read_back(born: date, sex: str, serial: int, region: str) -> None:
    nik = read_nik(f"{region}{born.day + (40 if sex == 'P' else 0):02d}{born:%m%y}{serial:04d}")
    assert nik
    assert (nik.region, nik.sex) == (region, sex)
    assert nik.born_on(born)
    assert not nik.born_on(born + timedelta(days=1))


@given(
    st.sampled_from(["0", "62", "+62", "62 ", "+62 ", "(0", "", "0062"]),
    st.from_regex(r"[2-9][0-9]{6,12}", fullmatch=True),
    st.sampled_from(["", "-", " ", ".", ")"]),
)
@settings(max_examples=500)
def test_the_short_way_with_phones_is_the_librarys(prefix: str, digits: str, separator: str) -> None:
    text = f"{prefix}{digits[:3]}{separator}{digits[3:]}"
    bare = prefix.strip("( ")
    spelled = {"0062": ("+62",), "62": ("+62", "62")}.get(bare, (bare,))  # 62 may be the country, or begin a landline
    numbers = [phonenumbers.parse(f"{country}{digits}", "ID") for country in spelled]
    e164 = phonenumbers.PhoneNumberFormat.E164
    valid = [phonenumbers.format_number(n, e164) for n in numbers if phonenumbers.is_valid_number(n)]
    assert read_phone(text) in (valid or [None])


@pytest.mark.parametrize(
    ("submission_id", "somebody"),
    [
        ("7604015708900001", True),
        ("case/7604015708900001-2", True),
        ("2026112408300001", False),  # a time and a running number
        ("76040157089000012", False),
        ("7604015708900000", False),
        ("batch-7-000042", False),
    ],
)
def test_an_id_that_can_only_be_a_nik_is_known_without_the_submission(submission_id: str, somebody: bool) -> None:
    assert names_somebody(submission_id, reference()) is somebody
