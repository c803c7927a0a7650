"""The console's pure parts: areas as ranges, cursors, the registration form, the flow's picture, and its words."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.portal.console import bars, context, cookies, flow, registration
from services.portal.console.amounts import rupiah_of
from services.portal.console.showing import PAGES
from services.portal.console.store.area import bounds
from services.portal.console.wording import TEXTS, Words, texts
from services.registry.domain.submission import Submission
from shared.officers.officer import LEVELS, NotSignedIn, officer_of

TEMPLATES = Path(TEXTS).with_name("templates")
digits = st.text("0123456789", min_size=10, max_size=10)


@given(digits, st.sampled_from(sorted(LEVELS)), digits)
def test_a_village_is_in_the_range_of_an_area_exactly_if_its_code_begins_so(
    village: str, level: int, other: str
) -> None:
    for area in (village[:level], other[:level]):
        low, high, everything = bounds(area)
        assert (low <= village < high) == village.startswith(area)
        assert everything == (area == "")


@given(st.datetimes(datetime(1970, 1, 1), datetime(2300, 1, 1)), st.from_regex(r"\A[\x21-\x7d]{1,80}\Z"))
def test_a_list_goes_on_exactly_where_it_stopped(at: datetime, key: str) -> None:
    at = at.replace(tzinfo=UTC)
    assert context.after(context.cursor(at, key), 1) == (at, key)
    assert context.after(context.cursor(at, key, key), 2) == (at, key, key)
    assert context.after(context.cursor(at, key), 2) is None


@pytest.mark.parametrize("text", [None, "", "x", "1", "-1~a", "1~a~b", "99999999999999999999~a", "1~\x00", "1~~a"])
def test_what_is_no_cursor_is_the_beginning(text: str | None) -> None:
    assert context.after(text, 1) is None


@given(st.text(max_size=40), st.text(max_size=40))
def test_tokens_open_under_their_own_cookie_only(text: str, other: str) -> None:
    cookie = cookies.new()
    sealed = cookies.seal(cookie, text)
    assert cookies.unseal(cookie, sealed) == text
    assert cookies.unseal(cookie + other + "x", sealed) is None
    assert cookies.unseal(cookie, sealed[:-1]) is None


FORM = {
    "nik": "7604 0149 0388 0071",
    "name": " Hasniah  Contoh ",
    "kk": "7604010101150771",
    "birth_date": "1988-03-09",
    "sex": "P",
    "role": "spouse",
    "village": "7604012004",
    "decile": "2",
    "income_idr": "1.200.000",
    "phone": "",
    "language": "",
    "member0_pregnant": "yes",
    "member2_birth_date": "2016-05-02",
    "member2_sex": "L",
    "member2_school": "sd",
    "account_bank": "002",
    "account_number": "00410 10007",
    "account_holder": "H. Contoh",
}


def test_a_form_becomes_what_the_registry_takes() -> None:
    fields, missing = registration.fields(FORM)
    assert missing == []
    taken = Submission.model_validate_json(json.dumps(fields))
    assert (taken.nik, taken.name, taken.income_idr, taken.language) == (
        "7604014903880071",
        "Hasniah Contoh",
        1_200_000,
        "id",
    )
    assert [(m.sex, m.school, m.pregnant) for m in taken.members] == [("P", None, True), ("L", "sd", False)]
    assert taken.account is not None
    assert taken.account.number == "0041010007"


@pytest.mark.parametrize("name", registration.REQUIRED)
def test_what_is_missing_is_named(name: str) -> None:
    assert registration.fields({**FORM, name: " "})[1] == [name]


def test_no_number_is_no_decile() -> None:
    assert registration.fields({**FORM, "decile": "two", "income_idr": "-1"})[1] == ["decile", "income_idr"]


@pytest.mark.parametrize("text", ["1000000", "1.000.000", "1,000,000", "1 000 000", " Rp1.000.000 ", "rp. 1.000.000"])
def test_rupiah_as_officers_type_them(text: str) -> None:
    assert rupiah_of(text) == 1_000_000


@pytest.mark.parametrize(
    "text",
    ["1.000.000,00", "1,000,000.00", "1.000,000", "1.00", "0.500", "10.0000", "1.000.00", "1e6", "-1", "", "Rp", "١"],
)
def test_what_may_be_read_as_a_hundred_times_as_much_is_no_amount(text: str) -> None:
    assert rupiah_of(text) is None
    assert registration.fields({**FORM, "income_idr": text or "x"})[1] == ["income_idr"]


def test_a_line_that_is_not_whole_is_named_and_not_dropped() -> None:
    for name, text in (("severe_disability", "yes"), ("pregnant", "yes"), ("sex", "P"), ("school", "smp")):
        assert registration.fields({**FORM, f"member5_{name}": text})[1] == ["member5"]
    assert registration.fields({**FORM, "member2_sex": ""})[1] == ["member2"]
    assert registration.fields({**FORM, "member5_birth_date": " ", "member5_school": ""})[1] == []


def test_a_family_has_as_many_lines_as_the_registry_takes() -> None:
    large = {
        f"member{n}_{name}": text for n in range(1, 45) for name, text in (("birth_date", "2010-01-02"), ("sex", "L"))
    }
    fields, wrong = registration.fields({**FORM, **large})
    assert (len(fields["members"]), wrong) == (registration.MEMBERS_MAX, [])
    assert len(Submission.model_validate_json(json.dumps(fields)).members) == registration.MEMBERS_MAX
    assert registration.lines({}) == registration.MEMBERS
    more = {"lines": "8", "more": "yes"}
    assert registration.lines(more) == 16
    assert registration.lines({"lines": "16"}) == 16, "also where it comes back with something to mend"
    assert registration.lines({**more, "lines": "40"}) == registration.lines(large) == registration.MEMBERS_MAX
    assert registration.lines({"lines": "x", "member9_sex": "L"}) == 10


def test_where_a_field_stands_on_the_form() -> None:
    names = {
        name: registration.name_on_form(name, FORM) for name in ("nik", "account.bank", "members.1.sex", "members.9")
    }
    assert list(names.values()) == ["nik", "account_bank", "member2", "members.9"]


@pytest.mark.parametrize("text", ["1.0", "1,0", "0", "11", "+1", "²"])
def test_a_decile_is_a_number_from_1_to_10(text: str) -> None:
    assert registration.fields({**FORM, "decile": text})[1] == ["decile"]


def row(what: str, name: str, state: str, rows: int, amount_idr: int = 0) -> dict[str, object]:
    return {"what": what, "name": name, "state": state, "rows": rows, "amount_idr": amount_idr}


def test_the_flow_as_a_picture() -> None:
    rows = [
        row("recipient", "", "registered", 90),
        *(row("registration", source, "new", 45) for source in ("polman", "console")),
        row("registration", "polman", "rejected", 10),
        row("decision", "sembako", "eligible", 60),
        row("payout", "sembako", "confirmed", 50, 10_000),
        row("payout", "pkh", "failed", 3, 900),
        row("cycle", "sembako-2026-11", "confirmed", 50, 10_000),
        row("dead_letter", "registry", "", 2),
    ]
    shown = flow.picture(rows, {"payout": 2.5})
    assert (shown.registered, shown.paid_idr, shown.confirmed, shown.failed, shown.failed_idr) == (
        90,
        10_000,
        50,
        3,
        900,
    )
    assert [(stage.name, stage.total, stage.a_second) for stage in shown.stages] == [
        ("registration", 100, None),
        ("decision", 60, None),
        ("payout", 53, 2.5),
        ("message", 0, None),
    ]
    assert shown.stages[0].parts == (("new", "good", 90), ("rejected", "bad", 10))
    assert [(p.name, p.paid_idr) for p in shown.programmes] == [("pkh", 0), ("sembako", 10_000)]
    assert shown.letters == (("registry", 2),)


def test_how_fast_the_flow_moves_is_known_from_the_second_look_on() -> None:
    pulse = flow.Pulse()
    assert pulse.rates("7604", {"payout": 100}, 50.0) == {}
    assert pulse.rates("7604", {"payout": 150}, 55.0) == {"payout": 10.0}
    assert pulse.rates("7604", {"payout": 300}, 70.0) == {"payout": 10.0}
    assert pulse.rates("76", {"payout": 1}, 70.0) == {}


@given(st.lists(st.tuples(st.sampled_from(["good", "bad"]), st.integers(0, 10**9)), max_size=6))
def test_a_bar_is_never_wider_than_its_rail(parts: list[tuple[str, int]]) -> None:
    drawn = bars.bar(parts, "<b>")
    widths = [float(width) for width in re.findall(r'<rect class="(?:good|bad)" x="[\d.]+" width="([\d.]+)"', drawn)]
    assert sum(widths) <= bars.WIDTH + 0.1 * len(widths)
    assert "<b>" not in drawn


def test_every_text_that_a_page_asks_for_is_there_in_both_languages() -> None:
    asked = {
        key
        for page in TEMPLATES.glob("*.html")
        for key in re.findall(r'\bt\("([A-Za-z_-]+\.[A-Za-z_.-]*[A-Za-z])"[,)]', page.read_text())
    }
    assert len(asked) > 100
    assert asked - texts().keys() == set()
    assert {f"page.{name}" for name, _, _ in PAGES} <= texts().keys()
    assert {key for key, words in texts().items() if set(words) != {"id", "en"} or not all(words.values())} == set()


def test_figures_as_people_read_them() -> None:
    indonesian, english = Words("id"), Words("en")
    amounts = [999_999, 1_250_000, 34_500_000, 265_000_000, 1_570_000_000_000]
    assert [indonesian.short_rupiah(n) for n in amounts] == [
        "Rp999.999",
        "Rp1,25 jt",
        "Rp34,5 jt",
        "Rp265 jt",
        "Rp1,57 T",
    ]
    assert [english.short_rupiah(n) for n in amounts[1:]] == ["Rp1.25 m", "Rp34.5 m", "Rp265 m", "Rp1.57 tn"]
    assert indonesian.share(1, 3) == "33,3%"
    assert indonesian.time(datetime(2026, 11, 24, 7, 4, tzinfo=UTC)) == "24 Nov 2026 15.04"


def test_an_officer_from_claims_of_any_issuer() -> None:
    claims = {"sub": "7f-1", "display": "Ani\x00 [x]", "realm": {"roles": ["read", "audit", "admin"], "area": "7604"}}
    names = {"name": "display", "roles": "realm.roles", "area": "realm.area"}
    officer = officer_of(claims, **names)
    assert (officer.name, officer.roles, officer.level) == ("Ani x", {"read", "audit"}, "regency")
    assert officer.signature == "Ani x [7f-1]"
    assert officer_of({**claims, "realm": {"roles": "enter read", "area": ""}}, **names).roles == {"enter", "read"}
    for realm in (
        {"roles": ["read"]},
        {"area": "7604"},
        {"roles": {"read": 1}, "area": "7604"},
        {"roles": [], "area": 7604},
    ):
        with pytest.raises(NotSignedIn):
            officer_of({**claims, "realm": realm}, **names)
