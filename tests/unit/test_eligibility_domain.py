"""The rules of eligibility, by tables of examples: components, amounts, birthdays, conditions, reasons."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.eligibility.domain.facts import Facts, FactsInvalid, Trait, age_years, parse_facts, parse_flags, traits
from services.eligibility.domain.rules import Asked, Verdict
from tests.unit.eligibility_people import DAY, RULES, asked, born, changed, facts, member, rule

PKH, SEMBAKO, POLMAN = RULES["pkh"], RULES["sembako"], RULES["bantuan-polman"]


@pytest.mark.parametrize(
    ("who", "a_stage_idr"),
    [
        (member(28, pregnant=True), 750_000),
        (member(0), 750_000),
        (member(6), 750_000),
        (member(7), 0),
        (member(8, school="sd"), 225_000),
        (member(13, school="smp"), 375_000),
        (member(16, school="sma"), 500_000),
        (member(59), 0),
        (member(60), 600_000),
        (member(95), 600_000),
        (member(30, severe_disability=True), 600_000),
        (member(40), 0),
        (member(-1), 0),  # a birth date after today is no child yet
    ],
)
def test_pkh_pays_each_component_a_quarter_of_its_yearly_amount(who: Trait, a_stage_idr: int) -> None:
    verdict = PKH.entitlement(asked(who))
    assert verdict.amount_idr == a_stage_idr
    assert verdict.eligible == (a_stage_idr > 0)


@pytest.mark.parametrize(
    ("who", "a_stage_idr"),
    [
        (member(6, school="sd"), 750_000),  # a child of six at school: the better paid of the two
        (member(30, pregnant=True, severe_disability=True), 750_000),
        (member(70, severe_disability=True), 600_000),
        (member(14, school="smp", severe_disability=True), 600_000),
        (member(17, school="sma", pregnant=True), 750_000),
    ],
)
def test_a_member_counts_once_by_the_best_paid_component(who: Trait, a_stage_idr: int) -> None:
    assert PKH.entitlement(asked(who)).amount_idr == a_stage_idr


@pytest.mark.parametrize(
    ("members", "a_stage_idr"),
    [
        ([member(3), member(9, school="sd")], 975_000),
        ([member(3)] * 4, 3_000_000),
        ([member(3)] * 5, 3_000_000),
        ([member(9, school="sd")] * 6, 900_000),
        # the four best paid: 750 + 750 + 600 + 500, neither smp nor sd
        (
            [
                member(9, school="sd"),
                member(13, school="smp"),
                member(17, school="sma"),
                member(65),
                member(2),
                member(30, pregnant=True),
            ],
            2_600_000,
        ),
        ([member(35), member(36, "L")], 0),
        ([], 0),
    ],
)
def test_at_most_four_members_count_the_best_paid_first(members: list[Trait], a_stage_idr: int) -> None:
    assert PKH.entitlement(asked(*members)).amount_idr == a_stage_idr


@pytest.mark.parametrize(
    ("birth", "day", "age"),
    [
        (date(2019, 11, 17), DAY, 6),  # the day before the seventh birthday
        (date(2019, 11, 16), DAY, 7),
        (date(1966, 11, 17), DAY, 59),
        (date(1966, 11, 16), DAY, 60),
        (date(2026, 11, 16), DAY, 0),
        (date(2026, 11, 17), DAY, -1),
        (date(2020, 2, 29), date(2026, 2, 28), 5),
        (date(2020, 2, 29), date(2026, 3, 1), 6),
        (date(2020, 2, 29), date(2028, 2, 29), 8),
        (date(1966, 12, 31), date(2026, 12, 30), 59),
        (date(1966, 12, 31), date(2026, 12, 31), 60),
    ],
)
def test_a_year_is_completed_on_the_birthday(birth: date, day: date, age: int) -> None:
    assert age_years(birth, day) == age


def test_a_child_turns_out_of_its_component_on_the_seventh_birthday() -> None:
    known = facts(members=[{"birth_date": "2019-11-17", "sex": "P"}])
    before, on = (traits(known, day) for day in (date(2026, 11, 16), date(2026, 11, 17)))
    assert PKH.entitlement(asked(*before)).amount_idr == 750_000
    assert PKH.entitlement(asked(*on)).codes == ("no_component",)


@pytest.mark.parametrize(("decile", "eligible"), [(1, True), (4, True), (5, True), (6, False), (10, False)])
def test_sembako_reaches_decile_five(decile: int, eligible: bool) -> None:
    verdict = SEMBAKO.entitlement(asked(decile=decile))
    assert verdict.eligible is eligible
    assert verdict.amount_idr == (200_000 if eligible else 0)


@pytest.mark.parametrize(("decile", "eligible"), [(4, True), (5, False)])
def test_pkh_reaches_decile_four(decile: int, eligible: bool) -> None:
    assert PKH.entitlement(asked(member(2), decile=decile)).eligible is eligible


@pytest.mark.parametrize(
    ("members", "village", "decile", "codes"),
    [
        ([member(60)], "7604012002", 5, ("meets_conditions",)),
        ([member(20, severe_disability=True)], "7604012002", 1, ("meets_conditions",)),
        ([member(59)], "7604012002", 1, ("no_component",)),
        ([member(60)], "7605012002", 1, ("outside_region",)),
        ([member(60)], "7604012002", 6, ("decile_above_limit",)),
        ([], "7371012002", 9, ("outside_region", "decile_above_limit", "no_component")),
    ],
)
def test_the_regional_programme_asks_for_region_decile_and_component(
    members: list[Trait], village: str, decile: int, codes: tuple[str, ...]
) -> None:
    assert POLMAN.entitlement(asked(*members, village=village, decile=decile)).codes == codes


@pytest.mark.parametrize("flag", SEMBAKO.programme.conditions.excluded_by)
def test_every_flag_of_the_audits_excludes(flag: str) -> None:
    verdict = SEMBAKO.entitlement(asked(flags=(flag,)))
    assert verdict.codes == ("excluded_by_other_agency",)
    assert verdict.details == (SEMBAKO.sentences.flag(flag),)  # type: ignore[arg-type]


def test_a_flag_that_a_programme_does_not_name_excludes_nobody() -> None:
    assert POLMAN.entitlement(asked(member(70), flags=("electricity_900va", "unheard_of"))).eligible


@pytest.mark.parametrize(("income_idr", "eligible"), [(1_000_000, True), (1_000_001, False)])
def test_an_income_limit_is_inclusive_and_its_reason_does_not_name_it(income_idr: int, eligible: bool) -> None:
    limited = rule("sembako", conditions={"income_max_idr": 1_000_000})
    verdict = limited.entitlement(Asked("7604012002", 9, facts(income_idr=income_idr), frozenset(), ()))
    assert verdict.eligible is eligible
    if not eligible:
        assert verdict.codes == ("condition_not_met",)
        assert "income" not in limited.sentences.reasons(verdict.codes)[0].text.en
        assert "Rp1,000,000" in verdict.details[0].en


def test_erased_facts_or_flags_entitle_nobody() -> None:
    for known, flags in ((None, frozenset[str]()), (facts(), None)):
        verdict = SEMBAKO.entitlement(Asked("7604012002", 1, known, flags, ()))
        assert verdict == Verdict(False, 0, ("facts_erased",))


def test_a_closed_programme_entitles_nobody() -> None:
    verdict = rule("sembako", version=2, closed=True).entitlement(asked())
    assert verdict == Verdict(False, 0, ("programme_closed",))


def test_what_is_counted_is_told_in_both_languages() -> None:
    members = [member(3), member(4), member(9, school="sd"), member(70), member(71)]
    assert [(said.id, said.en) for said in PKH.entitlement(asked(*members)).details] == [
        ("Dihitung 2 orang anak usia 0 sampai 6 tahun: Rp1.500.000.", "Counted: 2 x child aged 0 to 6, Rp1,500,000."),
        (
            "Dihitung 2 orang lanjut usia 60 tahun ke atas: Rp1.200.000.",
            "Counted: 2 x elder of 60 or more, Rp1,200,000.",
        ),
        (
            "Paling banyak 4 anggota keluarga yang dihitung, mulai dari yang bantuannya terbesar.",
            "At most 4 members of a family count, those with the highest assistance first.",
        ),
    ]


def test_there_are_no_details_where_the_clear_says_all() -> None:
    assert SEMBAKO.entitlement(asked()).details == ()
    assert SEMBAKO.entitlement(asked(decile=9)).details == ()


def test_reasons_in_the_clear_name_no_flag_component_or_income() -> None:
    for name, known in RULES.items():
        for code in ("excluded_by_other_agency", "condition_not_met"):
            (reason,) = known.sentences.reasons((code,))
            text = f"{reason.text.id} {reason.text.en}".lower()
            assert known.programme.title.id.lower() in text, name
            for word in ("mobil", "car ", "meninggal", "deceased", "disab", "hamil", "penghasilan", "income"):
                assert word not in text, (name, code, word)


traits_of_anybody = st.builds(
    Trait,
    st.integers(-1, 110),
    st.sampled_from(["L", "P"]),
    st.sampled_from([None, "sd", "smp", "sma"]),
    st.booleans(),
    st.booleans(),
)


@given(st.lists(traits_of_anybody, max_size=12), st.randoms())
def test_amounts_are_whole_bounded_and_do_not_depend_on_the_order_of_members(
    members: list[Trait], random: object
) -> None:
    amount_idr = PKH.entitlement(asked(*members)).amount_idr
    assert type(amount_idr) is int
    assert 0 <= amount_idr <= 4 * 750_000
    assert amount_idr % 25_000 == 0
    shuffled = list(members)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert PKH.entitlement(asked(*shuffled)).amount_idr == amount_idr


@given(st.lists(traits_of_anybody, max_size=8), traits_of_anybody)
def test_one_more_member_never_lowers_the_amount(members: list[Trait], more: Trait) -> None:
    assert PKH.entitlement(asked(*members, more)).amount_idr >= PKH.entitlement(asked(*members)).amount_idr


@given(st.lists(traits_of_anybody, max_size=6), st.integers(1, 10), st.sets(st.sampled_from(["deceased", "car_owner"])))
def test_a_verdict_is_either_eligible_with_an_amount_or_refused_with_reasons(
    members: list[Trait], decile: int, flags: set[str]
) -> None:
    for known in RULES.values():
        verdict = known.entitlement(asked(*members, decile=decile, flags=tuple(flags)))
        assert verdict.eligible == (verdict.amount_idr > 0) == (verdict.codes == ("meets_conditions",))
        assert len(known.sentences.reasons(verdict.codes)) >= 1


def test_sealed_facts_are_read_with_what_does_not_hold_left_out() -> None:
    known = parse_facts(
        b'{"birth_date":"1986-01-07","sex":"P","role":"spouse","income_idr":0,"newer_field":1,'
        b'"members":[{"birth_date":"1986-01-07","sex":"P"},{"birth_date":"2015-01-01","sex":"L","school":"sd"}]}'
    )
    assert isinstance(known, Facts)
    assert traits(known, DAY) == (Trait(40, "P", None, False, False), Trait(11, "L", "sd", False, False))
    assert parse_flags(b'["deceased","car_owner"]') == {"deceased", "car_owner"}


@pytest.mark.parametrize("raw", [b"", b"[]", b'{"birth_date":"1986-13-07"}', b'{"sex":"SECRETVALUE"}'])
def test_facts_that_are_none_are_refused_without_being_repeated(raw: bytes) -> None:
    with pytest.raises(FactsInvalid) as caught:
        parse_facts(raw)
    assert "SECRETVALUE" not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"components": {}}, "there are no components"),
        ({"amount": {"members_max": 0}}, "members_max"),
        ({"amount": {"per_period_idr": 1000}}, "a_year_idr"),
        ({"payee": {"order": ["mother", "head"]}}, "leaves out spouse, other"),
        ({"payee": {"order": ["spouse", "head", "other", "head"]}}, "twice"),
        ({"conditions": {"decile_max": 11, "needs_component": True}}, "decile_max"),
        ({"conditions": {"needs_component": False}}, "requires conditions.needs_component"),
        ({"conditions": {"needs_component": True, "excluded_by": ["rich"]}}, "excluded_by.0"),
        ({"conditions": {"needs_component": True, "region": ["760"]}}, "region.0"),
        ({"conditions": {"needs_component": True, "decile": 4}}, "decile"),
        ({"version": 0}, "version"),
    ],
)
def test_a_programme_that_contradicts_itself_is_refused_with_the_field_named(
    change: dict[str, object], says: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        changed("pkh", **change)
    assert says in str(caught.value)


def test_a_yearly_amount_that_does_not_divide_is_refused() -> None:
    components = PKH.programme.model_dump()["components"]
    components["sd"]["a_year_idr"] = 900_001
    with pytest.raises(ValidationError, match=r"components\.sd\.a_year_idr 900001 does not divide into 4"):
        changed("pkh", components=components)


def test_born_is_what_the_tables_assume() -> None:
    assert age_years(date.fromisoformat(born(6)), DAY) == 6
