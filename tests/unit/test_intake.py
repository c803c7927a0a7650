"""Files of an upstream system: what of a CSV is taken, how rows become submissions, and how answers find their rows."""

import csv
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest

from salur.intake.answers import UNANSWERED, Answers, Outcome
from salur.intake.kinds import FLAGS, REGISTRATIONS, field_to_column
from salur.intake.results import write_results
from salur.intake.sealing import Ready, Refused, Sealer
from salur.intake.submit import stem_of
from salur.intake.table import FileInvalid, Table
from salur.intake.upstream import Upstream
from shared.events import RegistrationSubmitted
from shared.events.codec import decode
from shared.privacy import Keyring, open_submission

AT = datetime(2026, 11, 24, 8, tzinfo=UTC)
HEADER = "nik,flag,since,raised"
FLAG = "7604015708900001,deceased,2026-01-01,true"
COLUMNS = (*REGISTRATIONS.required, *REGISTRATIONS.optional)
CELLS = {
    "nik": "7604015708900001",
    "name": "Sitti Aminah",
    "kk": "7604011203150007",
    "birth_date": "1990-08-17",
    "sex": "P",
    "role": "spouse",
    "village": "7604012002",
    "decile": "2",
    "income_idr": "900000",
    "members": '[{"birth_date": "1990-08-17", "sex": "P"}]',
}


def table(folder: Path, text: str | bytes) -> Table:
    path = folder / "flags.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return Table(path, FLAGS)


def sealer(keyring: Keyring, columns: tuple[str, ...], token: str = "token") -> Sealer:
    return Sealer(Upstream("polman", token, keyring.public_keys()), "registration", "pilot", columns, 8, AT)


def sealed(keyring: Keyring, folder: Path, *changes: dict[str, str], token: str = "token") -> list[Ready | Refused]:
    path = folder / "pilot.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows(CELLS | change for change in changes)
    rows = Table(path, REGISTRATIONS)
    return sealer(keyring, rows.columns, token).seal(rows.rows())


def test_a_quote_that_is_not_closed_costs_its_own_row_only(tmp_path: Path) -> None:
    """Also where the lines that it swallows are more than one cell may hold, and where it is the last of the file."""
    right = "7604015708900001,deceased,2026-01-02,true\n"
    text = HEADER + "\n" + right + f'"{right}' + right * 4000 + f'"{right}"{right}' + right + f'"{right}'
    rows = list(table(tmp_path, text).rows())
    assert len(rows) == 4006
    lost = [row for row in rows if row.cells is None]
    assert [(row.number, row.line) for row in lost] == [(2, 3), (4003, 4004), (4004, 4005), (4006, 4007)]
    assert {len(row.cells) for row in rows if row.cells} == {4}


def test_a_cell_may_hold_lines(tmp_path: Path) -> None:
    text = f'{HEADER}\n"7604\n015708900001",deceased,2026-01-02,true\n7604015708900001,deceased,2026-01-02,true\n'
    assert [(row.line, row.cells and row.cells[0]) for row in table(tmp_path, text).rows()] == [
        (3, "7604\n015708900001"),
        (4, "7604015708900001"),
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "empty"),
        ("nik,flag,since\n", "lacks columns: raised"),
        (f"{HEADER},colour,\n", "not known: colour, column 6"),
        (f"{HEADER},nik\n", "twice: nik"),
        (b"nik,flag,since,raised\xff\n", "not UTF-8"),
    ],
)
def test_a_wrong_header_is_named_with_its_file(tmp_path: Path, text: str | bytes, told: str) -> None:
    with pytest.raises(FileInvalid) as caught:
        table(tmp_path, text)
    assert told in caught.value.message
    assert "flags.csv" in caught.value.message


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("7604010101860001,aminah,2026-01-01,true\n", "the first line is not a header"),
        ("7604010101860001,siti aminah,7604010101860001\n", "the first line is not a header"),
        ("nik,flag,since,raised,siti aminah,7604010101860001,7604010101860001\n", "not known: column 5, column 6"),
    ],
)
def test_a_header_that_is_somebodys_row_is_not_printed(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(FileInvalid) as caught:
        table(tmp_path, text)
    assert told in caught.value.message
    assert "nik, flag, since, raised" in caught.value.hint
    assert not any(private in caught.value.message for private in ("7604", "aminah"))


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("delimiter", [",", ";"])
def test_what_spreadsheets_write_is_read(tmp_path: Path, mark: str, delimiter: str) -> None:
    text = f"{mark}{HEADER.upper()}\r\n\r\n{FLAG}\r\n{FLAG}".replace(",", delimiter)
    rows = list(table(tmp_path, text).rows())
    assert [(row.number, row.line, row.cells) for row in rows] == [(1, 3, FLAG.split(",")), (2, 4, FLAG.split(","))]


def test_a_row_that_is_no_csv_does_not_stop_the_others(tmp_path: Path) -> None:
    rows = list(table(tmp_path, f'{HEADER}\n"a"b,c,d,e\n{FLAG}\nshort\n').rows())
    assert [row.cells is None for row in rows] == [True, False, False]


def test_rows_become_what_the_registry_opens(keyring: Keyring, tmp_path: Path) -> None:
    (plain,) = sealed(keyring, tmp_path, {"submitted_at": "2026-11-01T07:00:00+08:00", "account_bank": "002"})
    assert isinstance(plain, Ready)
    event = decode(RegistrationSubmitted, plain.value)
    assert event.time == datetime(2026, 10, 31, 23, tzinfo=UTC)
    assert (event.source, event.subject) == ("polman", event.id)
    opened = orjson.loads(open_submission(keyring, event.data.sealed, source="polman", event_id=event.id))
    assert opened == {
        **{name: CELLS[name] for name in ("nik", "name", "kk", "birth_date", "sex", "role", "village")},
        "decile": 2,
        "income_idr": 900_000,
        "members": [{"birth_date": "1990-08-17", "sex": "P"}],
        "account": {"bank": "002", "number": "", "holder": ""},
    }


def test_ids_are_made_from_file_row_and_content(keyring: Keyring, tmp_path: Path) -> None:
    first = sealed(keyring, tmp_path, {}, {}, {"decile": "3"})
    again = sealed(keyring, tmp_path, {}, {}, {"decile": "4"})
    keys = [[one.key for one in rows if isinstance(one, Ready)] for rows in (first, again)]
    assert keys[0][:2] == keys[1][:2]
    assert keys[0][2] != keys[1][2]
    assert len({*keys[0], *keys[1]}) == 4
    assert all(key.startswith(b"pilot-%d-" % row) for row, key in enumerate(keys[0], 1))
    assert not {one.key for one in sealed(keyring, tmp_path, {}, token="another") if isinstance(one, Ready)} & {
        *keys[0]
    }


def test_ids_do_not_begin_with_a_number_of_the_person(keyring: Keyring, tmp_path: Path) -> None:
    rows = Table(tmp_path / "pilot.csv", REGISTRATIONS) if sealed(keyring, tmp_path, {}, {"nik": "1"}) else None
    assert rows
    named = sealer(keyring, rows.columns)._replace(stem=f"berkas_{CELLS['nik']}").seal(rows.rows())
    assert [one.code if isinstance(one, Refused) else "" for one in named] == ["csv_file_name", ""]


def test_a_row_without_a_time_is_later_than_those_above_it(keyring: Keyring, tmp_path: Path) -> None:
    rows = [one for one in sealed(keyring, tmp_path, {}, {}, {}) if isinstance(one, Ready)]
    times = [decode(RegistrationSubmitted, row.value).time for row in rows]
    assert times == sorted(set(times))


@pytest.mark.parametrize(
    ("change", "column", "code"),
    [
        ({"decile": "two"}, "decile", "csv_number"),
        ({"decile": ""}, "decile", "csv_number"),
        ({"income_idr": "1.5"}, "income_idr", "csv_number"),
        ({"income_idr": "٣"}, "income_idr", "csv_number"),
        ({"members": "[{"}, "members", "csv_members"),
        ({"members": '{"sex": "P"}'}, "members", "csv_members"),
        ({"submitted_at": "2026-11-01 07:00"}, "submitted_at", "csv_time"),
        ({"submitted_at": "0001-01-01T00:00:00+14:00"}, "submitted_at", "csv_time"),
        ({"name": "x" * 70_000}, "", "csv_too_large"),
    ],
)
def test_a_malformed_cell_is_named_and_the_others_go_on(
    keyring: Keyring, tmp_path: Path, change: dict[str, str], column: str, code: str
) -> None:
    refused, good = sealed(keyring, tmp_path, change, {})
    assert refused == Refused(1, 2, column, code)
    assert isinstance(good, Ready)


def _answer(row: int, mac: bytes, *, source: str = "polman", subject: str = "r-" + "ab" * 16) -> bytes:
    reference = {"source": source, "id": f"pilot-{row}-{mac.hex()}", "submitted_at": "2026-11-24T00:00:00Z"}
    event = {"type": "recipient.registered", "subject": subject, "data": {"change": "new", "submission": reference}}
    return orjson.dumps(event)


def test_answers_find_their_rows_and_no_others() -> None:
    answers = Answers(REGISTRATIONS, "polman", "pilot")
    macs = [bytes([row] * 8) for row in range(1, 4)]
    for row, mac in enumerate(macs, 1):
        answers.expect(row, mac)
    assert not answers.take(_answer(1, macs[1]))  # the row as it was before the file was changed
    assert not answers.take(_answer(9, macs[0]))
    assert not answers.take(_answer(1, macs[0], source="other"))
    assert answers.take(_answer(2, macs[1]))
    assert not answers.take(_answer(2, macs[1]))
    assert [answers.outcome(row) for row in (1, 2, 3)] == [UNANSWERED, Outcome("registered", "new"), UNANSWERED]
    assert [answers.recipient(row) for row in (1, 2)] == ["", "r-" + "ab" * 16]
    assert (answers.rows, answers.unanswered) == (3, 2)


def test_results_have_one_line_a_row(tmp_path: Path) -> None:
    answers = Answers(REGISTRATIONS, "polman", "pilot")
    answers.expect(1, b"12345678")
    answers.refuse(2, Outcome("not_sent", "", (("decile", "csv_number", "Bukan bilangan.", "Not a number."),)))
    answers.expect(3, b"abcdefgh")
    problems = [
        {"field": field, "code": "account_format", "text": {"id": "Salah.", "en": "Wrong."}}
        for field in ("account.bank", "account.number")
    ]
    reference = {"source": "polman", "id": f"pilot-3-{b'abcdefgh'.hex()}"}
    data = {"submission": reference, "problems": problems}
    assert answers.take(orjson.dumps({"type": "registration.rejected", "subject": reference["id"], "data": data}))
    write_results(tmp_path / "pilot.results.csv", "pilot", answers)
    with (tmp_path / "pilot.results.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["row"], row["answer"], row["field"], row["code"]) for row in rows] == [
        ("1", "unanswered", "", ""),
        ("2", "not_sent", "decile", "csv_number"),
        ("3", "rejected", "account_bank | account_number", "account_format | account_format"),
    ]
    assert rows[1]["submission_id"] == rows[2]["recipient_id"] == ""
    assert list(tmp_path.glob("*.part")) == []


def test_names_of_files_and_fields_are_made_plain() -> None:
    assert stem_of(Path("data/Pilot Polman (1).csv")) == "Pilot_Polman_1_"
    assert field_to_column("members.3.birth_date") == "members"
    assert field_to_column("account.number") == "account_number"
    assert field_to_column("nik") == "nik"
