"""My aid's rules: which NIK and date go together, and what a recipient reads about each programme."""

import string
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.portal.domain.aid import Card, Decision, Payout, Said, cards, history
from services.portal.domain.identity import Asked, Refused, read
from services.portal.texts import catalogue, words
from shared.words import day, moment, number, period, place, rupiah

TODAY = date(2026, 11, 28)
AT = datetime(2026, 11, 24, 7, 0, tzinfo=UTC)
WHY = Said("Alasan.", "Reason.")


@pytest.mark.parametrize(
    ("nik", "born", "said"),
    [
        ("7604011708850001", ("17", "8", "1985"), Asked("7604011708850001", date(1985, 8, 17))),
        ("7604015708850001", ("17", "08", "1985"), Asked("7604015708850001", date(1985, 8, 17))),
        ("7604 0157 0885-0001", (" 17 ", "8", "1985"), Asked("7604015708850001", date(1985, 8, 17))),
        ("7604011708240001", ("17", "8", "1924"), Asked("7604011708240001", date(1924, 8, 17))),
        ("7604011708240001", ("17", "8", "2024"), Asked("7604011708240001", date(2024, 8, 17))),
        ("7604015708850001", ("57", "8", "1985"), Refused(None, "born_wrong")),
        ("7604015708850001", ("18", "8", "1985"), Refused(None, "born_differs")),
        ("7604015708850001", ("17", "8", "85"), Refused(None, "born_wrong")),
        ("7604015708850001", ("17", "8", "2085"), Refused(None, "born_wrong")),
        ("760401570885000", ("17", "8", "1985"), Refused("nik_wrong", None)),
        ("7604013202850001", ("32", "2", "1985"), Refused("nik_wrong", "born_wrong")),
        ("٧٦٠٤٠١٥٧٠٨٨٥٠٠٠١", ("17", "8", "1985"), Refused("nik_wrong", None)),
        ("", ("", "", ""), Refused("nik_wrong", "born_wrong")),
    ],
)
def test_a_nik_and_its_birth_date(nik: str, born: tuple[str, str, str], said: object) -> None:
    assert read(nik, *born, TODAY) == said


@given(st.text(max_size=30), st.text(max_size=5), st.text(max_size=5), st.text(max_size=5))
def test_anything_may_be_typed(nik: str, day_: str, month: str, year: str) -> None:
    found = read(nik, day_, month, year, TODAY)
    if isinstance(found, Asked):
        assert len(found.nik) == 16
        assert set(found.nik) <= set(string.digits)
        assert found.born <= TODAY


def decision(programme: str = "sembako", *, eligible: bool = True) -> Decision:
    return Decision(programme, eligible, 200_000 if eligible else 0, (WHY,), (), AT)


def payout(state: str, period_: str = "2026-11", *, programme: str = "sembako", code: str | None = None) -> Payout:
    why = WHY if code else None
    cycle = f"{programme}-{period_}"
    return Payout(programme, cycle, period_, state, 200_000, 3, "himbara", code, why, AT)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("eligible", "paid", "state", "next_step", "shows_payout"),
    [
        (True, None, "granted", "next_granted", False),
        (True, payout("queued"), "waiting", "next_waiting", True),
        (True, payout("ordered"), "sending", "next_sending", True),
        (True, payout("confirmed"), "paid", "next_paid", True),
        (True, payout("failed", code="account_closed"), "failed", "next_failed_account", True),
        (True, payout("failed", code="account_dormant"), "failed", "next_failed_dormant", True),
        (True, payout("failed", code="a_new_code"), "failed", "next_failed", True),
        (True, payout("cancelled", code="decision_superseded"), "granted", "next_granted", True),
        (False, None, "refused", "next_refused", False),
        (False, payout("confirmed"), "refused", "next_refused", True),
        (False, payout("queued"), "refused", "next_refused", False),
    ],
)
def test_what_a_programmes_card_says(
    eligible: bool, paid: Payout | None, state: str, next_step: str, shows_payout: bool
) -> None:
    (card,) = cards([decision(eligible=eligible)], [paid] if paid else [], has_account=True)
    assert (card.state, card.next_step, card.payout is not None) == (state, next_step, shows_payout)
    for language in ("id", "en"):
        t = words(language)  # type: ignore[arg-type]
        assert t(f"state_{card.state}")
        assert t(card.next_step)


@pytest.mark.parametrize(
    ("eligible", "paid", "next_step"),
    [
        (True, None, "next_no_account"),
        (True, payout("queued"), "next_no_account"),
        (True, payout("ordered"), "next_sending"),
        (True, payout("failed", code="no_account"), "next_failed_account"),
        (False, None, "next_refused"),
    ],
)
def test_who_has_no_account_is_not_told_to_wait(eligible: bool, paid: Payout | None, next_step: str) -> None:
    (card,) = cards([decision(eligible=eligible)], [paid] if paid else [], has_account=False)
    assert card.next_step == next_step


def test_the_newest_period_is_on_the_card_and_the_history_has_all() -> None:
    paid = [
        payout("confirmed", "2026-11"),
        payout("failed", "2026-12", code="no_account"),
        payout("confirmed", "2026-10"),
    ]
    (card,) = cards([decision()], paid, has_account=True)
    assert isinstance(card, Card)
    assert card.payout == paid[1]
    assert len(history(paid)) == 3


def test_words_are_there_in_both_languages() -> None:
    for key, said in words("id").texts.items():
        assert said.id, key
        assert said.en, key
        places = [{name for _, name, _, _ in string.Formatter().parse(text) if name} for text in (said.id, said.en)]
        assert places[0] == places[1], key
    assert catalogue().programme("a-new-one").title.id == "A New One"


def test_money_dates_and_periods() -> None:
    assert rupiah(1_234_500, "id") == "Rp1.234.500"
    assert number(1_234, "en") == "1,234"
    assert day(datetime(2026, 11, 24, 17, 0, tzinfo=UTC), "id") == "25 November 2026", "the date on Sulawesi's wall"
    assert moment(AT, "id") == "24 November 2026, 15.00 WITA"
    assert period("sembako-2026-05", "id") == "Mei 2026"
    assert period("2026-Q4", "en") == "stage 4 of 2026"
    assert period("special", "en") == "special"


def test_a_place_beyond_those_that_are_counted_is_told_as_such() -> None:
    assert place(100_000, "id") == "100.000"
    assert place(100_001, "id") == "100.001 atau lebih"
    assert place(100_001, "en") == "100,001 or later"
