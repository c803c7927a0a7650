"""`salur keys` never shows a key and destroys none that is needed; `salur seal` leaks nothing on its way."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from salur.commands import keys as keys_command
from salur.commands import seal as seal_command
from salur.inside.dependents import DEPENDENTS, Dependent
from shared import clock
from shared.errors import KeyInUse, SalurError
from shared.events import codec
from shared.events.registrations import FlagSubmitted, RegistrationSubmitted
from shared.privacy import Keyring, keyfile, open_submission
from shared.privacy.hpke import SUBMISSION_BYTES_MAX
from shared.privacy.keys import KINDS, Kind

SUBMISSION = {"nik": "7604011203870001", "name": "Sitti", "account": {"number": "1234567890"}, "phone": "081234567890"}

app = typer.Typer()
keys_command.register(app)
seal_command.register(app)


def _run(*arguments: str, given: str | bytes | None = None) -> Result:
    result = CliRunner().invoke(app, list(arguments), input=given)
    if isinstance(result.exception, SalurError):
        raise result.exception
    return result


def _printed(*arguments: str, given: str | bytes | None = None) -> Any:
    result = _run(*arguments, given=given)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("SALUR_KEYS_JSON", raising=False)
    monkeypatch.setenv("SALUR_KEYS", str(tmp_path / "keys.json"))
    assert _run("keys", "create").exit_code == 0
    (tmp_path / "public.json").write_text(_run("keys", "public").stdout)
    return tmp_path / "keys.json"


def test_list_shows_periods_and_no_key(path: Path) -> None:
    retired = _printed("keys", "rotate", "payment", "--active-in", "0", "--json")["key_id"]
    pending = _printed("keys", "rotate", "payment", "--active-in", "3600", "--json")["key_id"]
    lines = _printed("keys", "list", "--json")
    assert {line["kind"] for line in lines} == set(KINDS)
    assert [line["state"] for line in lines if line["kind"] == "payment"] == ["retired", "active", "pending"]
    assert [line["id"] for line in lines if line["kind"] == "payment"][1:] == [retired, pending]
    table = _run("keys", "list").stdout
    assert "payment" in table
    secrets = [key.secret for held in keyfile.read(path).keys.values() for key in held]
    for text in (table, json.dumps(lines), _run("keys", "public").stdout):
        assert not any(secret in text for secret in secrets)


def test_create_does_not_overwrite_and_narrow_writes_a_part(path: Path, tmp_path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(SalurError, match="already"):
        _run("keys", "create")
    assert path.read_bytes() == before
    assert _run("keys", "narrow", "payment", "recovery", "--out", str(tmp_path / "payout.json")).exit_code == 0
    assert set(keyfile.read(tmp_path / "payout.json").keys) == {"payment", "recovery"}
    with pytest.raises(SalurError, match="to rotate"):
        _run("keys", "rotate", "identity")


def _retired(path: Path, kind: Any) -> str:
    old = keyfile.read(path).keys[kind][0].id  # type: ignore[index]
    keyfile.rotate(path, kind, now=clock.now() - timedelta(hours=1))
    return old


def test_destroy_asks_for_yes_and_for_the_rows(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DEPENDENTS, "access", ())
    old = _retired(path, "access")
    with pytest.raises(SalurError) as caught:
        _run("keys", "destroy", old)
    assert "--yes" in caught.value.hint
    assert _printed("keys", "destroy", old, "--yes", "--json")["id"] == old
    active = keyfile.read(path).keys["access"][0].id
    with pytest.raises(KeyInUse):
        _run("keys", "destroy", active, "--yes")


def test_destroying_names_the_command_that_frees_a_key(path: Path) -> None:
    old = _retired(path, "payment")
    with pytest.raises(KeyInUse) as caught:
        keyfile.destroy(path, old, in_use=lambda _: {"payout: decision.payment": 2})
    assert f"salur keys reseal {old}" in caught.value.hint


@pytest.mark.parametrize("kind", ["recovery", "submission"])
def test_a_key_of_dead_letters_is_not_destroyed_where_nobody_can_say_whether_some_wait(
    path: Path, monkeypatch: pytest.MonkeyPatch, kind: Kind
) -> None:
    monkeypatch.setenv("SALUR_KAFKA", "127.0.0.1:1")
    monkeypatch.setenv("SALUR_POSTGRES", "postgresql://salur@127.0.0.1:1/salur")
    old = _retired(path, kind)
    with pytest.raises(SalurError, match="Kafka"):
        _run("keys", "destroy", old, "--yes")
    assert _printed("keys", "destroy", old, "--yes", "--lose-dead-letters", "--json")["id"] == old


@pytest.mark.parametrize("written", [0, 1, 2])
def test_destroying_that_was_cut_off_can_be_repeated_and_leaves_the_key_nowhere(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    parts = [tmp_path / f"{name}.json" for name in ("payout", "registry")]
    for part in parts:
        _run("keys", "narrow", "payment", "--out", str(part))
    old = _retired(path, "payment")
    replace, left = keyfile._replace, written

    def cut_off(*given: Any) -> None:
        nonlocal left
        if not left:
            raise OSError("the disk is full")
        left -= 1
        replace(*given)

    with monkeypatch.context() as patched:
        patched.setattr(keyfile, "_replace", cut_off)
        with pytest.raises(OSError, match="full"):
            keyfile.destroy(path, old, in_use=lambda _: {})
    keyfile.destroy(path, old, in_use=lambda _: {})
    for file in map(keyfile.read, (path, *parts)):
        assert old not in [key.id for key in file.keys["payment"]]
        assert [tombstone.id for tombstone in file.destroyed] == [old]


@pytest.mark.parametrize("kind", ["payment", "contact", "eligibility"])
def test_only_a_retired_key_is_resealed(path: Path, kind: Any) -> None:
    active = keyfile.read(path).keys[kind][0].id  # type: ignore[index]
    with pytest.raises(KeyInUse) as caught:
        _run("keys", "reseal", active)
    assert f"salur keys rotate {kind}" in caught.value.hint
    keyfile.rotate(path, kind, active_in_s=3600)
    with pytest.raises(KeyInUse):
        _run("keys", "reseal", active)


def test_what_cannot_be_resealed_is_refused_before_anybody_is_asked(path: Path) -> None:
    with pytest.raises(SalurError, match="nothing to seal anew"):
        _run("keys", "reseal", _retired(path, "recovery"))
    old = _retired(path, "payment")
    keyfile.destroy(path, old, in_use=lambda _: {})
    with pytest.raises(SalurError, match="destroyed before"):
        _run("keys", "reseal", old)


def test_nothing_is_destroyed_unless_all_who_may_need_it_can_be_asked(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = _retired(path, "payment")
    monkeypatch.delitem(DEPENDENTS, "payment", raising=False)
    with pytest.raises(SalurError, match="nobody has said"):
        _run("keys", "destroy", old, "--yes")
    monkeypatch.setenv("SALUR_POSTGRES", "postgresql://salur@127.0.0.1:1/salur")
    monkeypatch.setitem(DEPENDENTS, "payment", (Dependent("payout", "orders", "SELECT 0::bigint"),))
    with pytest.raises(SalurError, match="does not say"):
        _run("keys", "destroy", old, "--yes")
    assert old in [key.id for key in keyfile.read(path).keys["payment"]]


def _seal(path: Path, *more: str, given: Any = SUBMISSION, source: str = "dinsos", event_id: str = "row-1") -> Any:
    text = given if isinstance(given, str | bytes) else json.dumps(given)
    public = str(path.with_name("public.json"))
    return _printed("seal", "--source", source, "--id", event_id, "--public-key", public, *more, given=text)


def test_data_and_whole_events_open_at_the_registry(path: Path, tmp_path: Path) -> None:
    keyring = Keyring.load(path)
    data = RegistrationSubmitted.model_validate(_seal(path))
    assert json.loads(open_submission(keyring, data.sealed, source="dinsos", event_id="row-1")) == SUBMISSION
    file = tmp_path / "one.json"
    file.write_text(json.dumps(SUBMISSION))
    raw = _seal(path, "--event", "--type", "flag.submitted", "--time", "2026-11-24T08:00:00", str(file))
    event = codec.decode(FlagSubmitted, json.dumps(raw).encode())
    assert (event.type, event.source, event.time.isoformat()) == (
        "flag.submitted",
        "dinsos",
        "2026-11-24T08:00:00+00:00",
    )
    assert json.loads(open_submission(keyring, event.data.sealed, source="dinsos", event_id="row-1")) == SUBMISSION


@pytest.mark.parametrize(
    ("given", "event_id", "said"),
    [
        (SUBMISSION, "case-7604011203870001", "holds a number of the person"),
        (SUBMISSION, "1234567890", "holds a number of the person"),
        (SUBMISSION | {"nik": "7604 0112 0387 0001"}, "case-7604011203870001", "holds a number of the person"),
        (SUBMISSION, "x y", "event's id"),
        ("[1]", "1", "not a JSON object"),
        ('{"nik": "7604011203870001", "nik": "2"}', "1", "stands twice"),
        ('{"nik": 7604011203870001', "1", "line 1, column"),
        (b'{"nik": "\xff"}', "1", "not UTF-8"),
        ('{"a": "' + "x" * SUBMISSION_BYTES_MAX + '"}', "1", "at most"),
    ],
)
def test_what_is_refused_is_told_without_the_person(path: Path, given: Any, event_id: str, said: str) -> None:
    with pytest.raises(SalurError, match=said) as caught:
        _seal(path, given=given, event_id=event_id)
    for private in ("7604011203870001", "1234567890", "Sitti"):
        assert private not in caught.value.message + caught.value.hint


def test_a_nik_as_argument_is_not_repeated(path: Path) -> None:
    with pytest.raises(SalurError) as caught:
        _seal(path, "7604011203870001")
    assert "7604" not in caught.value.message + caught.value.hint


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ((), "public key is needed"),
        (("--keys-url", "http://x", "--public-key", "y"), "public key is needed"),
        (("--keys-url", "http://registry.example"), "without TLS"),
        (("--keys-url", "ftp://127.0.0.1/"), "not an http"),
        (("--keys-url", "http://127.0.0.1:1"), "cannot be fetched"),
        (("--public-key", "/nowhere.json"), "cannot be read"),
    ],
)
def test_where_the_public_key_may_come_from(more: tuple[str, ...], said: str) -> None:
    with pytest.raises(SalurError, match=said):
        _run("seal", "--source", "dinsos", "--id", "1", *more, given=json.dumps(SUBMISSION))


def test_a_document_that_is_none_is_said_so(path: Path) -> None:
    for text in ("not json", "[]", "{}"):
        path.with_name("public.json").write_text(text)
        with pytest.raises(SalurError, match="public key document"):
            _seal(path)
