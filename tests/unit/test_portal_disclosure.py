"""The open figures' rounding and hiding: nobody shows, neither in a cell, nor in a difference."""

from hypothesis import given
from hypothesis import strategies as st

from services.portal.domain.disclosure import BASE, SMALL, Cell, draw, granule, hidden_areas, published, rounded

KEY = b"k" * 32
WHOLE = "7604"
VILLAGES = st.dictionaries(
    st.builds(lambda d, v: f"7604{d:02d}2{v:03d}", st.integers(1, 4), st.integers(1, 5)),
    st.one_of(st.integers(0, 15), st.integers(0, 3000)),
    min_size=1,
)


def shown(villages: dict[str, int], key: bytes = KEY) -> dict[str, int | None]:
    cells = {area: Cell(count, count) for area, count in villages.items()}
    return published(cells, WHOLE, hidden_areas({"paid": cells}, WHOLE, {})["paid"], key)


def true(villages: dict[str, int], area: str) -> int:
    return sum(count for village, count in villages.items() if village.startswith(area))


def assert_no_whole_tells(villages: dict[str, int], hidden: set[str]) -> None:
    districts = {village[:6] for village in villages}
    wholes = {WHOLE: districts, **{d: {v for v in villages if v.startswith(d)} for d in districts}}
    for whole, parts in wholes.items():
        gone = [count for part in parts & hidden if (count := true(villages, part))]
        if whole in hidden:
            assert all(part in hidden or true(villages, part) == 0 for part in parts)
        elif gone:
            assert len(gone) >= 2
            assert sum(gone) >= SMALL


@given(VILLAGES)
def test_what_is_shown_is_rounded_and_near_and_never_small(villages: dict[str, int]) -> None:
    for area, figure in shown(villages).items():
        count = true(villages, area)
        if figure is not None:
            assert figure % BASE == 0
            assert abs(figure - count) < BASE
            assert count == 0 or count >= SMALL
        if 0 < count < SMALL:
            assert figure is None


@given(VILLAGES)
def test_no_whole_less_its_parts_says_what_is_hidden(villages: dict[str, int]) -> None:
    """Of the parts of one whole none is hidden alone, and those that are hidden hold SMALL together."""
    figures = shown(villages)
    assert_no_whole_tells(villages, {area for area, figure in figures.items() if figure is None})


@given(VILLAGES, st.data())
def test_one_person_more_may_or_may_not_show(villages: dict[str, int], data: st.DataObject) -> None:
    """The same counts give the same figures at every date, and a cell that did not change does not move."""
    assert shown(villages) == shown(villages)
    changed = data.draw(st.sampled_from(sorted(villages)))
    later = {**villages, changed: villages[changed] + 1}
    before, after = shown(villages), shown(later)
    for area in villages:
        if area != changed and before[area] is not None and after[area] is not None:
            assert before[area] == after[area]


@given(st.dictionaries(st.sampled_from(("eligible", "decile", "flag", "card")), VILLAGES, min_size=2))
def test_the_registered_less_the_decided_say_nothing(decided: dict[str, dict[str, int]]) -> None:
    """Of an area's eligible and refused by reason none is hidden alone, and neither are the registered alone."""
    sums: dict[str, int] = {}
    for villages in decided.values():
        for village, count in villages.items():
            sums[village] = sums.get(village, 0) + count
    every = {"registered": sums, **decided}
    cells = {name: {area: Cell(count, count) for area, count in held.items()} for name, held in every.items()}
    hidden = hidden_areas(cells, WHOLE, {"registered": [list(decided)]})
    for name, villages in every.items():
        assert_no_whole_tells(villages, hidden[name])
    for area in {WHOLE, *(village[:6] for village in sums), *sums}:
        counts = {name: true(villages, area) for name, villages in decided.items() if true(villages, area)}
        gone = {name for name in counts if area in hidden[name]}
        if gone and area not in hidden["registered"]:
            assert len(gone) >= 2
            assert sum(counts[name] for name in gone) >= SMALL
        if area in hidden["registered"] and counts:
            assert gone, "or they would add up to what is hidden"


def test_a_village_that_is_hidden_for_a_sum_does_not_show_as_its_district() -> None:
    eligible = {"7604012001": 15, "7604022001": 100, "7604022002": 90, "7604032001": 80, "7604032002": 70}
    refused = {"7604012001": 5, "7604012002": 20, "7604022001": 50, "7604032001": 50}
    both = (eligible, refused)
    registered = {village: sum(held.get(village, 0) for held in both) for village in {**eligible, **refused}}
    measures = {"registered": registered, "eligible": eligible, "refused": refused}
    cells = {name: {area: Cell(n, n) for area, n in held.items()} for name, held in measures.items()}
    hidden = hidden_areas(cells, WHOLE, {"registered": [["eligible", "refused"]]})
    assert "7604012001" in hidden["refused"], "5 families"
    assert "7604012001" in hidden["eligible"], "or 20 registered less 15 would say 5"
    assert "760401" in hidden["eligible"], "whose only village it is"
    assert WHOLE not in hidden["eligible"] | hidden["registered"]


def test_a_new_programme_hides_nothing_of_the_registered() -> None:
    """Few are decided yet: those that are not hide them."""
    registered = {"7604012001": 400, "7604012002": 300}
    measures = {"registered": registered, "eligible": {"7604012001": 5}}
    cells = {name: {area: Cell(n, n) for area, n in held.items()} for name, held in measures.items()}
    hidden = hidden_areas(cells, WHOLE, {"registered": [["eligible"]]})
    assert hidden == {"registered": set(), "eligible": {WHOLE, "760401", "7604012001"}}


def test_rounding_is_right_on_average() -> None:
    for value in (11, 12, 13, 14):
        drawn = [rounded(value, BASE, draw(f"cell {n}", value, KEY)) for n in range(4000)]
        assert set(drawn) == {10, 15}
        assert abs(sum(drawn) / len(drawn) - value) < 0.2
    assert len({rounded(12, BASE, draw("cell", 12, bytes([n]) * 32)) for n in range(40)}) == 2, "the key decides"


@given(st.integers(1, 10**8), st.integers(0, 10**8))
def test_rupiah_are_rounded_to_more_than_anybody_got(largest: int, mean: int) -> None:
    base = granule(largest, mean)
    assert base >= largest
    assert base >= BASE * mean
    assert str(base).strip("0") in ("1", "2", "5")


def test_a_count_is_drawn_once_for_all_measures_and_its_rupiah_with_it() -> None:
    """Nothing is learned from the same families in many periods."""
    for families in range(11, 60):
        drawn = draw("7604012001", families, KEY)
        count, idr = rounded(families, BASE, drawn), rounded(families * 200_000, BASE * 200_000, drawn)
        assert idr == count * 200_000


def test_an_example() -> None:
    figures = shown({"7604012001": 40, "7604012002": 3, "7604012003": 12, "7604022001": 100, "7604022002": 0})
    assert figures["7604012002"] is None
    assert figures["7604012003"] is None, "hidden, or 55 less 40 and 12 would say 3"
    assert figures["7604012001"] == 40
    assert figures["760401"] == 55
    assert figures["7604022002"] == 0
    assert figures["7604"] == 155
