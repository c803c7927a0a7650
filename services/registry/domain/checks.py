"""From the bytes of a submission to the facts in it, or to everything that is wrong with it."""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, NamedTuple, TypeVar

import orjson
from pydantic import ValidationError
from pydantic_core import from_json

from services.registry.domain.numbers import (
    Nik,
    is_bank_code,
    niks_in,
    read_account_number,
    read_kk,
    read_nik,
    read_phone,
)
from services.registry.domain.problems import problem
from services.registry.domain.submission import Account, FlagStatement, Submission
from shared.events import Problem

PROBLEMS_MAX: Final = 20
WHOLE: Final = "submission"
"""The field of a problem that is about the submission as a whole."""

EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
SINCE_EARLIEST: Final = date(1900, 1, 1)
AGE_YEARS_MAX: Final = 120
AHEAD_MAX: Final = timedelta(days=1)
"""A later submission wins, so one from next year would win until then. A day covers clocks that are off, and that it is
tomorrow in Indonesia before it is in UTC."""

C = TypeVar("C", Submission, FlagStatement)


class Reference(NamedTuple):
    """The places that exist: villages that are served (10 digits), and districts of all Indonesia (6 digits).

    `former`: regencies (4 digits) that have another code today. A NIK keeps the one it was issued with.
    """

    villages: frozenset[str]
    districts: frozenset[str]
    former: frozenset[str] = frozenset()

    def knows(self, region: str) -> bool:
        """Whether numbers begin, or once began, with this district (6 digits); those of former regencies all pass."""
        return region in self.districts or region[:4] in self.former


class Facts(NamedTuple):
    """What a valid registration says, in normal form; the JSON is what gets sealed for later stages."""

    family_card: str
    village: str
    decile: int
    eligibility: bytes
    payment: bytes | None
    contact: bytes


class Flagging(NamedTuple):
    """What a valid flag says."""

    code: str
    since: date
    raised: bool


class Checked(NamedTuple):
    """`nik` is the number where it is valid, whatever else is wrong. Either `content` or `problems` is there."""

    nik: str | None
    content: Facts | Flagging | None
    problems: tuple[Problem, ...]


def content_of(plaintext: bytes) -> object:
    """What the JSON says, unchecked; None where it is none."""
    try:
        return from_json(plaintext)
    except ValueError:
        return None


def names_somebody(submission_id: str, reference: Reference) -> bool:
    """Whether an id that stands in the clear holds what can only be a NIK, whatever the submission says."""
    return any(reference.knows(nik.region) for nik in niks_in(submission_id))


def check_time(submitted_at: datetime, at: datetime) -> tuple[Problem, ...]:
    """Whether the time under which a submission competes with others can be right."""
    return () if EARLIEST <= submitted_at <= at + AHEAD_MAX else (problem("submitted_at", "time_implausible"),)


def check_registration(plaintext: bytes, reference: Reference, at: datetime) -> Checked:
    """Every problem of a registration, or its facts."""
    submission, misshapen = _parsed(Submission, plaintext)
    if submission is None:
        return Checked(None, None, misshapen)
    nik = read_nik(submission.nik)
    facts, found = _registration(submission, nik, reference, (at + AHEAD_MAX).date())
    return _checked(nik, reference, facts, misshapen, found)


def check_flag(plaintext: bytes, reference: Reference, at: datetime) -> Checked:
    """Every problem of a flag, or what it says."""
    statement, misshapen = _parsed(FlagStatement, plaintext)
    if statement is None:
        return Checked(None, None, misshapen)
    nik = read_nik(statement.nik)
    found = list(_nik_problems(nik, reference))
    since: date | None = statement.since
    if since and since < SINCE_EARLIEST:
        found.append(problem("since", "time_implausible"))
    if since and since > (at + AHEAD_MAX).date():
        found.append(problem("since", "since_future"))
    flagging = Flagging(statement.flag, statement.since, statement.raised)
    return _checked(nik, reference, flagging, misshapen, found)


def _checked(
    nik: Nik | None,
    reference: Reference,
    content: Facts | Flagging | None,
    misshapen: tuple[Problem, ...],
    found: list[Problem],
) -> Checked:
    """A field whose form is wrong is not judged twice."""
    known = nik.digits if nik and reference.knows(nik.region) else None
    if not misshapen and not found:
        return Checked(known, content, ())
    told = {p.field.partition(".")[0] for p in misshapen}
    rest = (p for p in found if p.field.partition(".")[0] not in told)
    return Checked(known, None, (*misshapen, *rest)[:PROBLEMS_MAX])


def _registration(
    s: Submission, nik: Nik | None, reference: Reference, today: date
) -> tuple[Facts | None, list[Problem]]:
    found = list(_nik_problems(nik, reference))
    birth_date: date | None = s.birth_date
    sex: str | None = s.sex
    if nik and birth_date and not nik.born_on(birth_date):
        found.append(problem("nik", "nik_birth_date_mismatch"))
    if nik and sex and nik.sex != sex:
        found.append(problem("nik", "nik_sex_mismatch"))
    births = [("birth_date", birth_date), *((f"members.{n}.birth_date", m.birth_date) for n, m in enumerate(s.members))]
    found += [problem(field, "birth_date_implausible") for field, born in births if born and not _may_live(born, today)]
    name = s.name.strip()
    if not name:
        found.append(problem("name", "name_empty"))
    kk = read_kk(s.kk)
    if kk is None:
        found.append(problem("kk", "kk_format"))
    elif not reference.knows(kk[:6]):
        found.append(problem("kk", "kk_region"))
    if s.village not in reference.villages:
        found.append(problem("village", "village_unknown"))
    if not 1 <= s.decile <= 10:
        found.append(problem("decile", "decile_range"))
    phone = read_phone(s.phone) if s.phone is not None else None
    if s.phone is not None and phone is None:
        found.append(problem("phone", "phone_format"))
    account = _account(s.account, found)
    if found or kk is None:
        return None, found
    contact = {"name": name, "phone": phone, "language": s.language}
    return Facts(kk, s.village, s.decile, _eligibility(s), account, orjson.dumps(contact)), found


def _nik_problems(nik: Nik | None, reference: Reference) -> Iterable[Problem]:
    if nik is None:
        yield problem("nik", "nik_format")
    elif not reference.knows(nik.region):
        yield problem("nik", "nik_region")


def _may_live(born: date, today: date) -> bool:
    """A spreadsheet makes 2025 of the year 25, and a grandmother an infant."""
    return born <= today and today.year - born.year <= AGE_YEARS_MAX


def _account(account: Account | None, found: list[Problem]) -> bytes | None:
    """The JSON sealed for `payment` (schema payment/1)."""
    if account is None:
        return None
    number, holder = read_account_number(account.number), account.holder.strip()
    rules = (("bank", is_bank_code(account.bank)), ("number", number), ("holder", holder))
    found += [problem(f"account.{field}", "account_format") for field, right in rules if not right]
    return orjson.dumps({"bank": account.bank, "number": number, "holder": holder})


def _eligibility(s: Submission) -> bytes:
    """The JSON sealed for `eligibility` (schema eligibility/1)."""
    return orjson.dumps(
        {
            "birth_date": s.birth_date,
            "sex": s.sex,
            "role": s.role,
            "income_idr": s.income_idr,
            "members": [
                {
                    "birth_date": m.birth_date,
                    "sex": m.sex,
                    "school": m.school,
                    "pregnant": m.pregnant,
                    "severe_disability": m.severe_disability,
                }
                for m in s.members
            ],
        }
    )


def _parsed(model: type[C], plaintext: bytes) -> tuple[C | None, tuple[Problem, ...]]:
    """The content, with None in fields whose form is wrong; nothing where it is no JSON object at all."""
    try:
        return model.__pydantic_validator__.validate_json(plaintext), ()
    except ValidationError as error:
        errors = error.errors(include_url=False, include_context=False, include_input=False)
    fields = dict.fromkeys(_field(e["loc"], e["type"], model) for e in errors)
    misshapen = tuple(problem(field, "schema") for field in fields)
    if WHOLE in fields:
        return None, misshapen
    wrong = {e["loc"][0] for e in errors}
    values: Mapping[str, Any] = from_json(plaintext)
    return _salvaged(model, {k: v for k, v in values.items() if k not in wrong}), misshapen


def _salvaged(model: type[C], right: Mapping[str, Any]) -> C:
    """A model of the fields that are right; in the others stands what passes as absent."""
    texts = dict.fromkeys(("nik", "name", "kk", "village"), "")
    blank = dict.fromkeys(model.model_fields) | texts | {"decile": 0, "members": (), "language": "id"}
    values = {**blank, **right}
    for name in ("birth_date", "since"):
        if values.get(name):
            values[name] = date.fromisoformat(values[name])
    if values.get("account"):
        values["account"] = Account(**values["account"])
    values["members"] = ()
    return model.model_construct(**{name: values[name] for name in model.model_fields})


def _field(loc: tuple[int | str, ...], kind: str, model: type[C]) -> str:
    """The path of a field. A name that is not ours may be anything, also somebody's data: it is not repeated."""
    if not loc:
        return WHOLE
    if kind == "extra_forbidden":
        loc = (*loc[:-1], "unknown")
    return ".".join(map(str, loc)) if loc[0] in model.model_fields or loc[0] == "unknown" else WHOLE
