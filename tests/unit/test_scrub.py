"""Whatever passes the scrubber names nobody; and what is not about a person passes it unharmed."""

import io
import json
import re
import sys
import uuid
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from shared.privacy import Keyring, Sealed, keyfile
from shared.privacy.scrub import GONE, scrub_event_dict, scrub_exception, scrub_text, scrub_value

SEALED = "pay-abcdefgh." + "Ab1_-" * 20


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # people's numbers, as they are written
        ("NIK 7604011203870001", "NIK [nik]"),
        ("NIK 7604 0112 0387 0001.", "NIK [nik]."),
        ("760401-120387-0001 and 760401.120387.0001", "[nik] and [nik]"),
        ("x7604011203870001y", "x[nik]y"),
        ("call 081234567890", "call [phone]"),
        ("call +62 812-3456-7890 now", "call [phone] now"),
        ("call +62(812)34567890", "call [phone]"),
        ("call (0812) 3456 7890", "call [phone]"),
        ("62812.3456.7890", "[phone]"),
        ("0428-2100123", "[phone]"),
        ("BRI 0123-01-004567-53-1", "BRI [number]"),
        ("BNI 12345678 ok", "BNI [number] ok"),
        ("7604011203870001 081234567890", "[number]"),
        ("７６０４０１１２０３８７０００１", "[nik]"),
        # what only looks like them
        ("12 of 20000 in 1.5 s", "12 of 20000 in 1.5 s"),
        ("1234567", "1234567"),
        ("2026-11-24", "2026-11-24"),
        ("at 2026-11-24T21:17:05.123456Z, 12 rows", "at 2026-11-24T21:17:05.123456Z, 12 rows"),
        ("2026-11-24 21:17:05,123+07:00", "2026-11-24 21:17:05,123+07:00"),
        ("2026-11-24 081234567890", "2026-11-24 [phone]"),
        ("2026-11-24T7604011203870001", "2026-11-24T[nik]"),
        ("event 0f8fad5b-d9cb-469f-a165-708677289501", "event 0f8fad5b-d9cb-469f-a165-708677289501"),
        ("r-01234567890123456789012345678901 r", "r-01234567890123456789012345678901 r"),
        ("f-01234567890123456789012345678901", "f-01234567890123456789012345678901"),
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",) * 2,
        ("id a1234567890123b50123456789abcdef", "id a1234567890123b50123456789abcdef"),
        ("id abcdefabcdefabcd7604011203870001", "id abcdefabcdefabcd[nik]"),
        ("from 192.168.100.20:45231", "from 192.168.100.20:45231"),
        ("Rp1.250.000.000 and Rp 200.000", "Rp1.250.000.000 and Rp 200.000"),
        ("Rp7604011203870001", "Rp[nik]"),
        # sealed values
        (f"value {SEALED} here", "value <sealed pay-abcdefgh 75 B> here"),
        # named values in texts
        ("Submission(nik='76', name='SITI AMINAH', sex='P')", f"Submission(nik={GONE}, name={GONE}, sex='P')"),
        ('{"name":"SITI \\"AMINAH\\"","decile":3}', f'{{"name":{GONE},"decile":3}}'),
        ("name: Siti Aminah, decile 3", f"name: {GONE}, decile 3"),
        ("account={'bank': '002', 'holder': 'SITI'} failed", f"account={GONE}"),
        ("holder_name=SITI; x", f"holder_name={GONE}; x"),
        ('{"nama_lengkap": "Siti Aminah", "desil": 3}', f'{{"nama_lengkap": {GONE}, "desil": 3}}'),
        ('{"nama_ibu_kandung":"Siti","namaLengkap":"Siti"}', f'{{"nama_ibu_kandung":{GONE},"namaLengkap":{GONE}}}'),
        ("fullName: Siti Aminah, holderName=SITI; x", f"fullName: {GONE}, holderName={GONE}; x"),
        ("tgl_lahir=17 Agustus 1990, decile 3", f"tgl_lahir={GONE}, decile 3"),
        ("hostname: kafka-1, namespace=salur, name_empty: 3", "hostname: kafka-1, namespace=salur, name_empty: 3"),
        ("old_nik=1 beneficiaryAccountName: 'SITI'", f"old_nik={GONE}"),
        ("name: Field required; phone: String should match", "name: Field required; phone: String should match"),
        ("NameError: name 'x' is not defined", "NameError: name 'x' is not defined"),
        ("https://phone:8080/", "https://phone:8080/"),
        ("topic=recipient.registered partition=3", "topic=recipient.registered partition=3"),
        ("name=None", "name=None"),
        # what databases and validators repeat
        (
            'null value\nDETAIL:  Failing row contains (r-1, SITI (AMINAH), 2026-11-24).\nCONTEXT: x',
            f"null value\nDETAIL:  Failing row contains {GONE}\nCONTEXT: x",
        ),
        (
            "DETAIL:  Key (nik, holder)=(1, SITI (x)) already exists.",
            f"DETAIL:  Key (nik, holder)={GONE} already exists.",
        ),
        ('invalid input syntax for type integer: "SITI"', f"invalid input syntax for type integer:{GONE}"),
        ("invalid input for query argument $1: 'SITI' (an int)", f"invalid input for query argument $1:{GONE}"),
        ('CONTEXT:  COPY family, line 1, column n: "SITI"', f"CONTEXT:  COPY family, line 1, column n:{GONE}"),
        ("invalid literal for int() with base 10: 'SITI'", f"invalid literal for int() with base 10:{GONE}"),
        ("[type=x, input_value='SITI, A', input_type=str]", f"[type=x, input_value={GONE}, input_type=str]"),
    ],
)  # fmt: skip
def test_texts(text: str, expected: str) -> None:
    assert scrub_text(text) == expected
    assert scrub_text(expected) == expected


NIK = st.from_regex(r"[1-9][0-9]{5}[0-7][0-9][01][0-9]{3}[0-9]{4}", fullmatch=True)
SUBSCRIBER = st.from_regex(r"8[0-9]{8,10}", fullmatch=True)
ACCOUNT = st.from_regex(r"[0-9]{8,18}", fullmatch=True)
SEPARATOR = st.sampled_from([" ", ".", "-", "", "\u00a0", "–", " - "[:2]])
GROUPS = st.sampled_from(
    [(4, 4, 4, 4), (6, 6, 4), (2, 2, 2, 6, 4), (16,), (4, 2, 6, 2, 1), (3, 3, 3, 3, 4), (1, 5, 10)]
)
AROUND = st.one_of(st.text(max_size=30), st.text(alphabet="0123456789abcdef -.,:=()[]{}\"'/TZRp\n", max_size=30))


def _grouped(digits: str, sizes: tuple[int, ...], separator: str) -> str:
    groups, at = [], 0
    for size in sizes:
        groups.append(digits[at : at + size])
        at += size
    return separator.join([g for g in (*groups, digits[at:]) if g])


# Shapes that are kept although digits stand in them: a date, an address with a port, an amount with Rp.
READS_AS_OTHER = re.compile(
    r"(?:19|20)\d\d-\d\d-\d\d[^0-9]*|(?:\d{1,3}\.){3}\d{1,3}:\d.*|Rp\.? ?\d{1,3}(?:\.\d{3})+.*", re.DOTALL
).match


def _digits_of(text: str) -> str:
    """All digits in one line, with what cannot stand inside a number as a break."""
    return re.sub(r"[^0-9a-zA-Z\[\]]+", "", text)


@settings(max_examples=400)
@given(nik=NIK, sizes=GROUPS, separator=SEPARATOR, before=AROUND, after=AROUND)
def test_no_nik_passes(nik: str, sizes: tuple[int, ...], separator: str, before: str, after: str) -> None:
    scrubbed = scrub_text(before + _grouped(nik, sizes, separator) + after)
    assert nik not in _digits_of(scrubbed)
    assert scrub_text(scrubbed) == scrubbed


@settings(max_examples=400)
@given(
    prefix=st.sampled_from(["0", "62", "+62", "+62 ", "+62-", "(0", "0062 ", "+62 (0)"]),
    subscriber=SUBSCRIBER,
    sizes=st.sampled_from([(3, 4), (3, 3), (2, 4), (12,)]),
    separator=SEPARATOR,
    before=AROUND,
    after=AROUND,
)
def test_no_phone_passes(
    prefix: str, subscriber: str, sizes: tuple[int, ...], separator: str, before: str, after: str
) -> None:
    scrubbed = scrub_text(before + prefix + _grouped(subscriber, sizes, separator) + after)
    assert subscriber not in _digits_of(scrubbed)


@settings(max_examples=400)
@given(account=ACCOUNT, sizes=GROUPS, separator=SEPARATOR, before=AROUND, after=AROUND)
def test_no_account_passes(account: str, sizes: tuple[int, ...], separator: str, before: str, after: str) -> None:
    written = _grouped(account, sizes, separator)
    assume(not READS_AS_OTHER(written + after) and not READS_AS_OTHER(before[before.rfind("R") :] + written))
    scrubbed = scrub_text(before + written + after)
    assert account not in _digits_of(scrubbed)


@given(moment=st.datetimes(min_value=datetime(1950, 1, 1), max_value=datetime(2090, 1, 1)), ids=st.uuids())
def test_times_and_uuids_pass(moment: datetime, ids: uuid.UUID) -> None:
    text = f"{moment.isoformat()}Z event {ids}, {moment:%Y-%m-%d %H:%M:%S}+00: r-{ids.hex}, done"
    assert scrub_text(text) == text


@given(text=st.text(max_size=300))
def test_any_text_is_scrubbed_once(text: str) -> None:
    once = scrub_text(text)
    assert scrub_text(once) == once


@pytest.mark.parametrize(
    "text",
    [
        "a_" * 20_000,
        "1" * 50_000,
        "1 " * 20_000,
        "name" * 10_000,
        "nama_" * 10_000,
        "aName" * 9999,
        "input_value=" * 4000,
        "{" * 9999,
    ],
)
def test_long_texts_take_no_long_time(text: str) -> None:
    started = datetime.now(UTC)
    scrub_text(text)
    scrub_text(f"{text} x: ")
    assert (datetime.now(UTC) - started).total_seconds() < 1


# ---- events of the log ----


class Colour(Enum):
    NUMBER = "081234567890"


class Person(BaseModel):
    nik: str
    name: str
    decile: int = 3


def test_an_event_of_the_log() -> None:
    event = {
        "event": "order sent",
        "recipient": "r-0123456789abcdef0123456789abcdef",
        "amount_idr": 250_000_000,
        "offset": 123456789,
        "unnamed": 1234567890123456,
        "small": 12,
        "ratio": 0.5,
        "ok": True,
        "nothing": None,
        "nik": 7604011203870001,
        "Name": "SITI",
        "beneficiaryAccountNo": "1",
        "account": {"number": "1", "holder": "SITI"},
        "village": "7604012001",
        "code": "7604012001",
        "trace_id": "0123456789abcdef0123456789abcdef",
        "id": "7604011203870001",
        "nested": [{"phone": "x", "plain": ("081234567890", "ok")}],
        "by_number": {"7604011203870001": 1},
        "sealed": Sealed(SEALED),
        "person": Person(nik="7604011203870001", name="SITI"),
        "raw": b"SITI",
        "at": datetime(2026, 11, 24, tzinfo=UTC),
        "day": date(2026, 11, 24),
        "path": Path("/x/081234567890.csv"),
        "decimal": Decimal(1234567890),
        "colour": Colour.NUMBER,
        "error": ValueError("no 7604011203870001"),
    }
    assert scrub_event_dict(None, "info", event) == {
        "event": "order sent",
        "recipient": "r-0123456789abcdef0123456789abcdef",
        "amount_idr": 250_000_000,
        "offset": 123456789,
        "unnamed": "[number]",
        "small": 12,
        "ratio": 0.5,
        "ok": True,
        "nothing": None,
        "nik": GONE,
        "Name": GONE,
        "beneficiaryAccountNo": GONE,
        "account": GONE,
        "village": "7604012001",
        "code": "[number]",
        "trace_id": "0123456789abcdef0123456789abcdef",
        "id": "[nik]",
        "nested": [{"phone": GONE, "plain": ["[phone]", "ok"]}],
        "by_number": {"[nik]": 1},
        "sealed": "<sealed pay-abcdefgh 75 B>",
        "person": {"nik": GONE, "name": GONE, "decile": 3},
        "raw": "[4 bytes]",
        "at": datetime(2026, 11, 24, tzinfo=UTC),
        "day": date(2026, 11, 24),
        "path": "/x/[phone].csv",
        "decimal": "[number]",
        "colour": "[phone]",
        "error": "ValueError: no [nik]",
    }


def test_what_holds_itself_ends() -> None:
    loop: dict[str, Any] = {}
    loop["loop"] = loop
    assert "[too deep]" in json.dumps(scrub_value(loop))


def _logged(action: Any) -> str:
    out = io.StringIO()
    log = structlog.wrap_logger(
        structlog.PrintLogger(out),
        processors=[structlog.processors.add_log_level, scrub_event_dict, structlog.processors.JSONRenderer()],
    )
    action(log)
    return out.getvalue()


def test_tracebacks_are_scrubbed_with_their_causes() -> None:
    def action(log: Any) -> None:
        try:
            try:
                Person.model_validate({"nik": 7604011203870001, "name": ["SITI AMINAH"]})
            except ValidationError as error:
                raise RuntimeError("account 1234567890 of 081234567890") from error
        except RuntimeError as error:
            log.exception("failed")
            log.error("failed", exc_info=error)
            log.error("failed", exc_info=sys.exc_info())

    text = _logged(action)
    assert text.count("RuntimeError: account") == text.count("ValidationError: 2 validation errors") == 3
    for private in ("7604011203870001", "SITI", "AMINAH", "1234567890", "081234567890"):
        assert private not in text


def test_exception_groups_are_scrubbed() -> None:
    group = ExceptionGroup("two", [ValueError("nik='1'"), KeyError("7604011203870001")])
    text = scrub_exception(group)
    assert "7604011203870001" not in text
    assert "'1'" not in text


def test_a_sealed_value_is_short_in_a_log(tmp_path: Path) -> None:
    keyfile.create(tmp_path / "k.json")
    sealed = Keyring.load(tmp_path / "k.json").seal("payment", b"SITI", recipient="r", schema="s")
    text = _logged(lambda log: log.info(f"a {sealed.value} b", value=sealed, text=sealed.value, list=[sealed]))
    assert sealed.value.partition(".")[2][:20] not in text
    assert text.count(f"<sealed {sealed.key_id} 123 B>") == 4
