"""The registry's rules: what is right in a submission, and which of several holds whatever order they come in."""

import csv
import json
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.registry.domain.checks import (
    Facts,
    Flagging,
    check_flag,
    check_registration,
    check_time,
)
from services.registry.domain.fold import (
    Flag,
    FlagOrder,
    Flags,
    Known,
    Order,
    Stated,
    Submission,
    Submitted,
    settle,
    settle_flags,
    sort_out,
)
from services.registry.domain.problems import CATALOGUE
from services.registry.reference import reference

AT = datetime(2026, 11, 24, 8, tzinfo=UTC)
RIGHT: dict[str, Any] = {
    "nik": "7604015708900001",  # a woman, born on 17 August 1990, Tinambung
    "name": "Sitti Aminah",
    "kk": "7604011203150007",
    "birth_date": "1990-08-17",
    "sex": "P",
    "role": "spouse",
    "village": "7604012002",
    "phone": "0812-3456-7890",
    "decile": 2,
    "income_idr": 900_000,
    "account": {"bank": "002", "number": "1234 5678 9012 345", "holder": "SITTI AMINAH"},
    "members": [{"birth_date": "1990-08-17", "sex": "P"}, {"birth_date": "2015-01-02", "sex": "L", "school": "sd"}],
}


def problems(changes: dict[str, Any], *, without: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    content = {name: value for name, value in (RIGHT | changes).items() if name not in without}
    return [(p.field, p.code) for p in check_registration(json.dumps(content).encode(), reference(), AT).problems]


def test_a_right_registration_becomes_facts_in_normal_form() -> None:
    checked = check_registration(json.dumps(RIGHT).encode() + b"   ", reference(), AT)
    assert checked.problems == ()
    assert checked.nik == RIGHT["nik"]
    assert isinstance(checked.content, Facts)
    assert json.loads(checked.content.contact) == {"name": "Sitti Aminah", "phone": "+6281234567890", "language": "id"}
    assert checked.content.payment is not None
    assert json.loads(checked.content.payment)["number"] == "123456789012345"
    facts = json.loads(checked.content.eligibility)
    assert facts["members"][1] == {
        "birth_date": "2015-01-02",
        "sex": "L",
        "school": "sd",
        "pregnant": False,
        "severe_disability": False,
    }
    assert b"7604" not in checked.content.eligibility  # neither NIK nor family card travels on


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"nik": "760401570890001"}, [("nik", "nik_format")]),
        ({"nik": "76040157089000O1"}, [("nik", "nik_format")]),
        ({"nik": ""}, [("nik", "nik_format")]),
        ({"nik": "7604017002900001"}, [("nik", "nik_format")]),  # 30 February
        ({"nik": "7604018508900001"}, [("nik", "nik_format")]),  # day 85: stdnum alone would take it for 5
        ({"nik": "7604175708900001"}, [("nik", "nik_region")]),
        ({"nik": "7604011708900001"}, [("nik", "nik_sex_mismatch")]),
        ({"nik": "7604015708910001"}, [("nik", "nik_birth_date_mismatch")]),
        ({"nik": "9999991708910001"}, [("nik", f"nik_{c}") for c in ("region", "birth_date_mismatch", "sex_mismatch")]),
        ({"nik": "7604.0157.0890.0001"}, []),  # as people write it
        ({"nik": "3171015708900001"}, []),  # from Jakarta
        ({"nik": "7319015708900001"}, []),  # from Polmas, before there was Polewali Mandar
        ({"nik": "7319015708900001", "kk": "7320011203150007"}, []),
        ({"nik": "5401015708900001"}, [("nik", "nik_region")]),
        ({"nik": "7604015708900000"}, [("nik", "nik_format")]),  # a filler: two of one birthday would be one person
        ({"kk": "760401120315000"}, [("kk", "kk_format")]),
        ({"kk": "7604010000000000"}, [("kk", "kk_format")]),  # fillers: strangers would be one family
        ({"kk": "7604019999999999"}, [("kk", "kk_format")]),
        ({"kk": "7604011203150000"}, [("kk", "kk_format")]),
        ({"kk": "7604991203150007"}, [("kk", "kk_region")]),
        ({"village": "7604012999"}, [("village", "village_unknown")]),
        ({"village": "7604.01.2002"}, [("village", "village_unknown")]),
        ({"name": "  "}, [("name", "name_empty")]),
        ({"phone": "tidak ada"}, [("phone", "phone_format")]),
        ({"phone": "084123456789"}, [("phone", "phone_format")]),
        ({"phone": None}, []),
        ({"phone": "0812345678O9"}, [("phone", "phone_format")]),  # a letter is neither left out nor read as a digit
        ({"phone": "0812l3456789"}, [("phone", "phone_format")]),
        ({"phone": "0852-5501-234S"}, [("phone", "phone_format")]),
        ({"phone": "0812-CALLNOW1"}, [("phone", "phone_format")]),
        ({"phone": "0812-3456-7890 ext. 5"}, [("phone", "phone_format")]),
        ({"decile": 0}, [("decile", "decile_range")]),
        ({"decile": 11}, [("decile", "decile_range")]),
        ({"decile": "2"}, [("decile", "schema")]),
        ({"account": None}, []),
        ({"account": {"bank": "2", "number": "1.23E+14", "holder": " "}}, [
            ("account.bank", "account_format"),
            ("account.number", "account_format"),
            ("account.holder", "account_format"),
        ]),
        ({"income_idr": -1}, [("income_idr", "schema")]),
        ({"birth_date": "17-08-1990"}, [("birth_date", "schema")]),
        ({"birth_date": "650851200"}, [("birth_date", "schema")]),  # that day in seconds since 1970
        ({"birth_date": "1990-08-17T00:00:00"}, [("birth_date", "schema")]),
        ({"birth_date": "86400", "income_idr": -1}, [("birth_date", "schema"), ("income_idr", "schema")]),
        (
            {"nik": "7604015708900001", "birth_date": "2090-08-17"},  # the NIK has no century
            [("birth_date", "birth_date_implausible")],
        ),
        ({"birth_date": "1890-08-17"}, [("birth_date", "birth_date_implausible")]),
        (
            {"members": [{"birth_date": "1906-01-01", "sex": "P"}, {"birth_date": "2026-11-26", "sex": "L"}]},
            [("members.1.birth_date", "birth_date_implausible")],
        ),
        ({"members": [{"birth_date": "x", "sex": "P"}]}, [("members.0.birth_date", "schema")]),
        ({"7604015708900001": "Budi"}, [("unknown", "schema")]),  # a stranger's field name is not repeated
        (
            {"decile": 12, "nik": "1", "sex": "X", "village": "", "name": ""},
            [
                ("sex", "schema"), ("nik", "nik_format"), ("name", "name_empty"), ("village", "village_unknown"),
                ("decile", "decile_range"),
            ],
        ),
    ],
)  # fmt: skip
def test_every_problem_is_listed_with_its_field(changes: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert problems(changes) == expected


def test_a_missing_field_hides_no_other_problem() -> None:
    assert problems({"kk": "1"}, without=("birth_date", "members")) == [
        ("birth_date", "schema"),
        ("members", "schema"),
        ("kk", "kk_format"),
    ]


@pytest.mark.parametrize("plaintext", [b"", b"[]", b"null", b"{", b'{"nik": "\\ud800"}', b"\xff", b"NaN"])
def test_what_is_no_json_object_is_one_problem(plaintext: bytes) -> None:
    checked = check_registration(plaintext, reference(), AT)
    assert [(p.field, p.code) for p in checked.problems] == [("submission", "schema")]
    assert checked.nik is None


def test_the_nik_is_known_even_when_other_fields_are_wrong() -> None:
    checked = check_registration(json.dumps(RIGHT | {"decile": "x", "village": 5}).encode(), reference(), AT)
    assert checked.nik == RIGHT["nik"]
    assert checked.content is None


def test_no_problem_repeats_a_value() -> None:
    secret = "9876543210987654"
    wrong: dict[str, Any] = dict.fromkeys((*RIGHT, secret), secret)
    for checked in (
        check_registration(json.dumps(wrong).encode(), reference(), AT),
        check_flag(json.dumps(wrong).encode(), reference(), AT),
    ):
        assert checked.problems
        assert secret not in str([p.model_dump() for p in checked.problems])


def test_every_code_has_a_sentence_in_both_languages() -> None:
    for code, text in CATALOGUE.items():
        assert text.id != text.en, code
        assert text.id.endswith("."), code
        assert text.en.endswith("."), code


def test_flags_are_checked_alike() -> None:
    def check(**changes: Any) -> Any:
        content = {"nik": RIGHT["nik"], "flag": "deceased", "since": "2026-01-01", "raised": True} | changes
        return check_flag(json.dumps(content).encode(), reference(), AT)

    assert check().content == Flagging("deceased", date(2026, 1, 1), raised=True)
    told = check(nik="7", flag="rich", since="9999-12-31", raised="yes").problems
    assert [(p.field, p.code) for p in told] == [
        ("flag", "schema"),
        ("raised", "schema"),
        ("nik", "nik_format"),
        ("since", "since_future"),
    ]
    assert [(p.field, p.code) for p in check(flag="rich", since="86400").problems] == [
        ("flag", "schema"),
        ("since", "schema"),
    ]
    assert [p.code for p in check(since="1899-12-31").problems] == ["time_implausible"]


@pytest.mark.parametrize(("since", "right"), [("2026-11-24", True), ("2026-11-25", True), ("2026-11-26", False)])
def test_a_flag_does_not_hold_before_its_day(since: str, right: bool) -> None:
    """In the east of Indonesia it is tomorrow while it is still today in UTC."""
    content = {"nik": RIGHT["nik"], "flag": "deceased", "since": since, "raised": True}
    told = check_flag(json.dumps(content).encode(), reference(), AT.replace(hour=23)).problems
    assert [p.code for p in told] == ([] if right else ["since_future"])


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.from_regex(r"[0-9]{1,12}", fullmatch=True),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["birth_date", "bank", "x"]), inner),
    max_leaves=4,
)


@given(st.dictionaries(st.sampled_from([*RIGHT, "flag", "since", "raised", "address"]), _JSON, max_size=4))
def test_whatever_stands_in_the_fields_there_is_an_answer(changes: dict[str, Any]) -> None:
    plaintext = json.dumps(RIGHT | changes).encode()
    for checked in (check_registration(plaintext, reference(), AT), check_flag(plaintext, reference(), AT)):
        assert (checked.content is None) == bool(checked.problems)


@pytest.mark.parametrize(
    ("submitted_at", "right"),
    [
        (AT, True),
        (AT + timedelta(hours=23), True),
        (AT + timedelta(hours=25), False),
        (datetime(1, 1, 1, tzinfo=UTC), False),
        (datetime(9999, 12, 31, tzinfo=UTC), False),
    ],
)
def test_a_time_that_would_win_for_ever_is_refused(submitted_at: datetime, right: bool) -> None:
    assert (check_time(submitted_at, AT) == ()) is right


def test_a_former_regency_has_another_code_today() -> None:
    """Where a code is in use again, only its own districts pass."""
    table = files("services.registry").joinpath("former_regencies.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(table.splitlines()))
    today = {district[:4] for district in reference().districts}
    assert {row["code"] for row in rows} == reference().former
    assert len(rows) == len(reference().former)
    for row in rows:
        assert len(row["code"]) == 4
        assert row["code"] not in today
        assert row["name"]
        assert row["law"]
        assert set(row["now"].split()) <= today


# ---- which submission holds ----

_ORDERS = st.builds(
    Order,
    st.integers(0, 5).map(lambda hours: AT + timedelta(hours=hours)),
    st.sampled_from(["desa", "kota"]),
    st.sampled_from(["a", "b", "c"]),
)
_SUBMITTED = st.builds(Submitted, _ORDERS, st.sampled_from([b"x", b"y", b"z"]))


@st.composite
def _arrivals(draw: st.DrawFn) -> tuple[list[Submitted], list[list[Submitted]]]:
    """Submissions of one person with different keys, and the batches in which they, and repeats of them, arrive."""
    distinct = draw(st.lists(_SUBMITTED, min_size=1, max_size=8, unique_by=lambda s: (s.order.source, s.order.id)))
    coming = draw(st.permutations(distinct + draw(st.lists(st.sampled_from(distinct), max_size=5))))
    cuts = sorted(draw(st.lists(st.integers(0, len(coming)), max_size=4)))
    edges = [0, *cuts, len(coming)]
    return distinct, [list(coming[a:b]) for a, b in pairwise(edges)]


@given(_arrivals())
def test_the_latest_holds_in_whatever_order_and_batches_they_arrive(
    arrivals: tuple[list[Submitted], list[list[Submitted]]],
) -> None:
    distinct, batches = arrivals
    known: Known | None = None
    answered: dict[tuple[str, str], bytes] = {}
    verdicts: list[str] = []
    for batch in batches:
        keyed = [Submission((s.order.source, s.order.id), s.content) for s in batch]
        fresh, reused = sort_out(keyed, answered)
        assert not reused
        if not fresh:
            continue
        before = known
        known, given_now = settle(known, [batch[i] for i in fresh])
        assert before is None or (known.revision >= before.revision and known.won_by >= before.won_by)
        assert sum(verdict in ("new", "updated") for verdict in given_now) == known.revision - (
            before.revision if before else 0
        )
        answered |= {keyed[i].key: keyed[i].digest for i in fresh}
        verdicts += given_now
    assert known is not None
    latest = max(distinct)
    assert (known.content, known.won_by) == (latest.content, latest.order)
    assert len(verdicts) == len(distinct)
    assert verdicts.count("new") == 1


def test_a_submission_in_between_that_arrives_late_does_not_win() -> None:
    first, between, last = (
        Submitted(Order(AT + timedelta(hours=h), "desa", str(h)), content)
        for h, content in enumerate((b"x", b"y", b"x"))
    )
    known, _ = settle(None, [first])
    known, verdicts = settle(known, [last])
    assert verdicts == ("identical",)
    known, verdicts = settle(known, [between])
    assert verdicts == ("older",)
    assert (known.content, known.revision) == (b"x", 1)


@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), st.sampled_from([b"x", b"y", b"z"])), max_size=12))
def test_an_id_stands_for_its_first_content(coming: list[tuple[str, bytes]]) -> None:
    submissions = [Submission(("desa", name), digest) for name, digest in coming]
    whole = sort_out(submissions, {})
    answered = {submissions[i].key: submissions[i].digest for i in whole.fresh}
    assert set(answered) == {s.key for s in submissions}
    assert {submissions[i] for i in whole.reused} == {s for s in submissions if answered[s.key] != s.digest}
    assert len(whole.reused) == len({submissions[i] for i in whole.reused})
    assert sort_out([s for s in submissions if answered[s.key] == s.digest], answered) == ((), ())


_STATED = st.builds(
    Stated,
    st.sampled_from(["deceased", "car_owner"]),
    st.builds(
        Flag,
        st.booleans(),
        st.builds(FlagOrder, st.sampled_from([date(2026, 1, 1), date(2026, 2, 1)]), _ORDERS),
    ),
)


@given(
    st.lists(_STATED, min_size=1, max_size=8, unique_by=lambda s: (s.code, s.flag.won_by)),
    st.randoms(use_true_random=False),
    st.integers(1, 4),
)
def test_flags_end_the_same_in_whatever_order(stated: list[Stated], random: Any, size: int) -> None:
    expected = dict(sorted(stated, key=lambda s: s.flag.won_by))
    random.shuffle(stated)
    known = Flags(0, {})
    for start in range(0, len(stated), size):
        after = settle_flags(known, stated[start : start + size])
        assert after.revision - known.revision == (known.revision == 0 or after.standing != known.standing)
        known = after
    assert known.by_code == expected
