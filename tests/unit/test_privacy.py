"""What is sealed opens where it should, nowhere else, and shows itself to nobody; keys rotate, part and die."""

import copy
import json
import logging
import os
import pickle
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, ValidationError

from shared import clock
from shared.errors import CannotOpen, Erased, KeyInUse, KeyMissing, SalurError
from shared.privacy import PURPOSES, Keyring, Purpose, Sealed, hpke, keyfile, open_submission, seal_submission
from shared.privacy import keyring as keyring_module
from shared.privacy.identity import family_id, recipient_id
from shared.privacy.keyfile import KeyFileExists
from shared.privacy.keys import KeyFileInvalid, states

R1, R2 = "r-" + "1a" * 16, "r-" + "2b" * 16
SCHEMA = "account.v1"
NOTHING_DEPENDS: dict[str, int] = {}


@pytest.fixture(scope="module")
def keyring(tmp_path_factory: pytest.TempPathFactory) -> Keyring:
    path = tmp_path_factory.mktemp("keys") / "keys.json"
    keyfile.create(path)
    return Keyring.load(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    keyfile.create(tmp_path / "keys.json")
    return tmp_path / "keys.json"


# ---- ids ----


def test_ids_are_keyed_hashes_known_by_hand() -> None:
    key = bytes(range(32))
    # printf 7604011203870001 | openssl dgst -sha256 -mac HMAC -macopt hexkey:000102…1f, the first 32 digits
    expected = subprocess.run(
        ["openssl", "dgst", "-sha256", "-mac", "HMAC", "-macopt", f"hexkey:{key.hex()}"],
        input=b"7604011203870001",
        capture_output=True,
        check=False,
    ).stdout.decode()
    made = recipient_id(key, "7604011203870001")
    assert made == RECIPIENT_OF_TEST_KEY
    if expected:
        assert expected.split("= ")[-1].startswith(made[2:])
    assert family_id(key, "7604011203870001") == "f-" + made[2:]


RECIPIENT_OF_TEST_KEY = "r-f77e0f0c07c25991d27c9ea67594bfd4"


def test_a_person_and_a_family_with_the_same_digits_share_no_id(keyring: Keyring) -> None:
    assert keyring.recipient_id("7604011203870001")[2:] != keyring.family_id("7604011203870001")[2:]


@pytest.mark.parametrize(
    "wrong", ["", "760401120387000", "76040112038700011", "760401120387000x", "７６０４０１１２０３８７０００１"]
)
def test_an_id_is_made_of_16_digits_only_and_the_error_does_not_repeat_them(keyring: Keyring, wrong: str) -> None:
    with pytest.raises(ValueError) as caught:
        keyring.recipient_id(wrong)
    assert not wrong or wrong not in str(caught.value)


# ---- sealed values ----


@given(plaintext=st.binary(max_size=3000), purpose=st.sampled_from(PURPOSES), recipient=st.text(max_size=40))
def test_what_is_sealed_opens_again(keyring: Keyring, plaintext: bytes, purpose: Purpose, recipient: str) -> None:
    sealed = keyring.seal(purpose, plaintext, recipient=recipient, schema=SCHEMA)
    assert keyring.open(sealed, purpose, recipient=recipient, schema=SCHEMA) == plaintext
    assert keyring.open(sealed.value, purpose, recipient=recipient, schema=SCHEMA) == plaintext


@given(
    ours=st.tuples(st.sampled_from(PURPOSES), st.text(max_size=8), st.text(max_size=8)),
    theirs=st.tuples(st.sampled_from(PURPOSES), st.text(max_size=8), st.text(max_size=8)),
)
def test_it_opens_for_no_other_purpose_recipient_or_schema(
    keyring: Keyring, ours: tuple[Purpose, str, str], theirs: tuple[Purpose, str, str]
) -> None:
    sealed = keyring.seal(ours[0], b"x", recipient=ours[1], schema=ours[2])
    if ours == theirs:
        assert keyring.open(sealed, theirs[0], recipient=theirs[1], schema=theirs[2]) == b"x"
    else:
        with pytest.raises(CannotOpen):
            keyring.open(sealed, theirs[0], recipient=theirs[1], schema=theirs[2])


@pytest.mark.parametrize(
    ("recipient", "schema"), [(R2, SCHEMA), (R1, "account.v2"), (R1 + "a", "ccount.v1"), ("", SCHEMA), (SCHEMA, R1)]
)
def test_binding_table(keyring: Keyring, recipient: str, schema: str) -> None:
    sealed = keyring.seal("payment", b"x", recipient=R1, schema=SCHEMA)
    with pytest.raises(CannotOpen):
        keyring.open(sealed, "payment", recipient=recipient, schema=schema)


def test_no_changed_character_opens(keyring: Keyring) -> None:
    text = keyring.seal("contact", b"Siti Aminah", recipient=R1, schema=SCHEMA).value
    for at, old in enumerate(text):
        for new in "Aa0_-+/=.é\n":
            if new != old:
                with pytest.raises((CannotOpen, KeyMissing)):  # another letter in the key's id names another key
                    keyring.open(text[:at] + new + text[at + 1 :], "contact", recipient=R1, schema=SCHEMA)


@given(text=st.text(max_size=200))
def test_arbitrary_text_does_not_open_and_is_not_repeated(keyring: Keyring, text: str) -> None:
    for candidate in (text, "pay-" + text, "pay-abcdefgh." + text, keyring.active_id("payment") + "." + text):
        with pytest.raises(CannotOpen if not candidate.startswith("pay-") else (CannotOpen, KeyMissing)) as caught:
            keyring.open(candidate, "payment", recipient=R1, schema=SCHEMA)
        assert len(text) < 12 or text not in str(caught.value)


def test_lengths_tell_little(keyring: Keyring) -> None:
    def length(facts: dict[str, object]) -> int:
        return len(keyring.seal("eligibility", orjson.dumps(facts), recipient=R1, schema=SCHEMA).value)

    assert length({"disabled": True}) == length({"disabled": False}) == length({})


def test_the_same_plaintext_never_gives_the_same_text(keyring: Keyring) -> None:
    texts = {keyring.seal("payment", b"x", recipient=R1, schema=SCHEMA).value for _ in range(1000)}
    assert len(texts) == 1000


class Account(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    payment: Sealed
    contact: Sealed | None = None
    anything: object = None


def test_it_shows_itself_to_nobody(
    keyring: Keyring, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = "Siti Aminah 1234567890"
    sealed = keyring.seal("payment", secret.encode(), recipient=R1, schema=SCHEMA)
    token = sealed.value.partition(".")[2]
    model = Account(payment=sealed, anything={"list": [sealed]})
    with caplog.at_level(logging.INFO):
        logging.getLogger("t").info("%s %r %s %s", sealed, sealed, model, {"x": sealed})
    print(sealed, [sealed], (sealed,), model, keyring, file=sys.stdout)
    shown = [
        str(sealed), repr(sealed), f"{sealed}", f"{sealed!s:>60}", "{}".format(sealed), "%s" % sealed,  # noqa: UP031, UP032
        str(model), repr(model), caplog.text, capsys.readouterr().out, repr([sealed]), repr({"a": sealed}),
        str(ValueError(sealed)), repr(keyring),
    ]  # fmt: skip
    for text in shown:
        assert token not in text
        assert token[:20] not in text
        assert secret not in text
    assert str(sealed) == f"<sealed {sealed.key_id} {12 + 95 + 16} B>"
    # Where it must travel, it travels sealed.
    for carried in (pickle.dumps(model), model.model_dump_json().encode(), orjson.dumps({"a": sealed})):
        assert token.encode() in carried
        assert b"Siti" not in carried
    assert pickle.loads(pickle.dumps(sealed)).value == copy.deepcopy(sealed).value == sealed.value


def test_it_is_a_plain_string_in_json(keyring: Keyring) -> None:
    sealed = keyring.seal("payment", b"x", recipient=R1, schema=SCHEMA)
    plain = {"payment": sealed.value, "contact": None, "anything": sealed.value}
    model = Account(payment=sealed, anything=sealed)
    assert orjson.loads(model.model_dump_json()) == plain
    assert json.loads(json.dumps({"a": sealed})) == orjson.loads(orjson.dumps({"a": sealed})) == {"a": sealed.value}
    assert model.model_dump(mode="json") == plain
    again = Account.model_validate_json(model.model_dump_json())
    assert type(again.payment) is Sealed
    assert keyring.open(again.payment, "payment", recipient=R1, schema=SCHEMA) == b"x"
    assert Account.model_json_schema()["properties"]["payment"]["type"] == "string"


@pytest.mark.parametrize(
    "wrong", ["", "x", "pay-abcdefgh.short", "sub-abcdefgh." + "A" * 100, "pay-abcdefgh." + "+" * 100]
)
def test_a_model_takes_only_what_has_the_form(wrong: str) -> None:
    with pytest.raises(ValidationError):
        Account.model_validate({"payment": wrong})


def test_a_keyring_cannot_be_pickled_and_its_errors_show_no_key(keyring: Keyring) -> None:
    with pytest.raises(TypeError):
        pickle.dumps(keyring)


def test_a_key_that_sealed_its_limit_refuses(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyring_module, "SEALS_WARN", 2)
    monkeypatch.setattr(keyring_module, "SEALS_MAX", 3)
    keyring = Keyring.load(path)
    for _ in range(3):
        keyring.seal("payment", b"x", recipient=R1, schema=SCHEMA)
    assert keyring.seals()[keyring.active_id("payment")] == 3
    with pytest.raises(KeyMissing, match="limit"):
        keyring.seal("payment", b"x", recipient=R1, schema=SCHEMA)
    keyfile.rotate(path, "payment")
    _look_now(keyring)
    keyring.seal("payment", b"x", recipient=R1, schema=SCHEMA)


# ---- the life of keys ----


def _look_now(keyring: Keyring) -> None:
    keyring._look_again_at = 0.0


def test_rotation_seals_with_the_new_key_and_opens_what_the_old_one_sealed(path: Path) -> None:
    running = Keyring.load(path)
    old = running.seal("payment", b"old", recipient=R1, schema=SCHEMA)
    new_id = keyfile.rotate(path, "payment")
    _look_now(running)
    new = running.seal("payment", b"new", recipient=R1, schema=SCHEMA)
    assert new.key_id == new_id != old.key_id
    for keyring in (running, Keyring.load(path)):
        assert keyring.open(old, "payment", recipient=R1, schema=SCHEMA) == b"old"
        assert keyring.open(new, "payment", recipient=R1, schema=SCHEMA) == b"new"
    moved = running.reseal(old, "payment", recipient=R1, schema=SCHEMA)
    assert moved.key_id == new_id
    assert running.reseal(moved, "payment", recipient=R1, schema=SCHEMA) is moved
    assert running.open(moved, "payment", recipient=R1, schema=SCHEMA) == b"old"


def test_a_running_process_learns_an_unknown_key_at_once(path: Path) -> None:
    reader, writer = Keyring.load(path), Keyring.load(path)
    reader.open(reader.seal("payment", b"x", recipient=R1, schema=SCHEMA), "payment", recipient=R1, schema=SCHEMA)
    keyfile.rotate(path, "payment")
    _look_now(writer)
    sealed = writer.seal("payment", b"x", recipient=R1, schema=SCHEMA)
    assert reader.open(sealed, "payment", recipient=R1, schema=SCHEMA) == b"x"


def test_a_key_of_tomorrow_opens_but_does_not_seal(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    today = Keyring.load(path).active_id("payment")
    tomorrow = keyfile.rotate(path, "payment", active_in_s=86_400)
    keyring = Keyring.load(path)
    assert keyring.active_id("payment") == today
    later = clock.now() + timedelta(days=2)
    monkeypatch.setattr(clock, "now", lambda: later)
    _look_now(keyring)
    assert keyring.active_id("payment") == tomorrow


def test_a_destroyed_key_means_erased_not_broken(path: Path) -> None:
    running = Keyring.load(path)
    sealed = running.seal("contact", b"x", recipient=R1, schema=SCHEMA)
    keyfile.rotate(path, "contact", now=clock.now() - timedelta(minutes=5))
    _look_now(running)
    assert running.active_id("contact") != sealed.key_id
    keyfile.destroy(path, sealed.key_id, in_use=lambda _: NOTHING_DEPENDS)
    _look_now(running)
    for keyring in (running, Keyring.load(path), Keyring.load(path, only={"contact"})):
        with pytest.raises(Erased):
            keyring.open(sealed, "contact", recipient=R1, schema=SCHEMA)
        with pytest.raises(CannotOpen):
            keyring.open(sealed, "payment", recipient=R1, schema=SCHEMA)
    assert [s.state for s in states(keyfile.read(path), clock.now()) if s.id == sealed.key_id] == ["destroyed"]
    secret_gone = keyfile.read(path).model_dump_json()
    assert sealed.key_id in secret_gone
    with pytest.raises(KeyMissing, match="destroyed before"):
        keyfile.destroy(path, sealed.key_id, in_use=lambda _: NOTHING_DEPENDS)


def test_a_key_that_is_needed_is_not_destroyed(path: Path) -> None:
    first = Keyring.load(path).active_id("payment")
    with pytest.raises(KeyInUse, match="still seals"):
        keyfile.destroy(path, first, in_use=lambda _: NOTHING_DEPENDS)
    keyfile.rotate(path, "payment")
    with pytest.raises(KeyInUse, match="seconds ago"):
        keyfile.destroy(path, first, in_use=lambda _: NOTHING_DEPENDS)
    in_an_hour = clock.now() + timedelta(hours=1)
    asked: list[str] = []

    def two_rows(key_id: str) -> dict[str, int]:
        asked.append(key_id)
        return {"payout: orders": 2, "payout: cycles": 0}

    with pytest.raises(KeyInUse, match=r"payout: orders \(2\)$"):
        keyfile.destroy(path, first, in_use=two_rows, now=in_an_hour)
    assert asked == [first]
    keyfile.destroy(path, first, in_use=lambda _: NOTHING_DEPENDS, now=in_an_hour)
    with pytest.raises(KeyMissing):
        keyfile.destroy(path, "pay-nosuchky", in_use=lambda _: NOTHING_DEPENDS)


def test_identity_keys_never_rotate(path: Path) -> None:
    with pytest.raises(SalurError, match="no rotation"):
        keyfile.rotate(path, "identity")  # type: ignore[arg-type]


def test_a_narrowed_keyring_has_its_part_and_no_more(path: Path, tmp_path: Path) -> None:
    whole = Keyring.load(path)
    payment = whole.seal("payment", b"x", recipient=R1, schema=SCHEMA)
    contact = whole.seal("contact", b"x", recipient=R1, schema=SCHEMA)
    out = tmp_path / "parts" / "payout.json"
    keyfile.narrow(path, {"payment", "recovery"}, out)
    for keyring in (Keyring.load(path, only={"payment", "recovery"}), Keyring.load(out)):
        assert keyring.open(payment, "payment", recipient=R1, schema=SCHEMA) == b"x"
        with pytest.raises(KeyMissing):
            keyring.open(contact, "contact", recipient=R1, schema=SCHEMA)
        with pytest.raises(KeyMissing):
            keyring.seal("contact", b"x", recipient=R1, schema=SCHEMA)
        for ask in (lambda k=keyring: k.recipient_id("7604011203870001"), keyring.public_keys):
            with pytest.raises(KeyMissing):
                ask()
    text = out.read_text()
    file = keyfile.read(path)
    assert file.identity is not None
    for kind in ("submission", "contact", "eligibility"):
        assert file.keys[kind][0].secret not in text  # type: ignore[index]
    assert file.identity.nik not in text
    with pytest.raises(KeyMissing):
        Keyring.load(out, only={"contact"})
    with pytest.raises(SalurError, match="no such part"):
        keyfile.narrow(path, {"everything"}, tmp_path / "x.json")
    with pytest.raises(KeyFileExists):
        keyfile.narrow(path, {"payment"}, path)


def test_parts_follow_the_main_file(path: Path, tmp_path: Path) -> None:
    out = tmp_path / "payout.json"
    keyfile.narrow(path, {"payment"}, out)
    part = Keyring.load(out)
    old = part.seal("payment", b"x", recipient=R1, schema=SCHEMA)
    new_id = keyfile.rotate(path, "payment", now=clock.now() - timedelta(minutes=5))
    _look_now(part)
    assert part.active_id("payment") == new_id
    keyfile.destroy(path, old.key_id, in_use=lambda _: NOTHING_DEPENDS)
    _look_now(part)
    with pytest.raises(Erased):
        part.open(old, "payment", recipient=R1, schema=SCHEMA)
    with pytest.raises(SalurError, match="is a part"):
        keyfile.rotate(out, "payment")
    out.unlink()
    keyfile.rotate(path, "payment")
    assert not out.exists()


@pytest.mark.skipif(os.name != "posix", reason="file modes are of POSIX systems")
def test_the_file_is_for_its_owner_and_never_overwritten(path: Path, tmp_path: Path) -> None:
    keyfile.narrow(path, {"payment"}, tmp_path / "part.json")
    keyfile.rotate(path, "payment")
    for file in (path, tmp_path / "part.json"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    before = path.read_bytes()
    with pytest.raises(KeyFileExists):
        keyfile.create(path)
    assert not keyfile.ensure(path)
    assert path.read_bytes() == before
    assert sorted(f.name for f in tmp_path.iterdir()) == ["keys.json", "part.json"], "nothing temporary is left"
    path.chmod(0o604)
    with pytest.raises(KeyFileInvalid, match="everybody"):
        Keyring.load(path)


def test_of_many_makers_at_once_one_makes_it(tmp_path: Path) -> None:
    code = "import sys,pathlib; from shared.privacy import keyfile; print(keyfile.ensure(pathlib.Path(sys.argv[1])))"
    path = tmp_path / "new" / "keys.json"
    makers = [
        subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])
        for _ in range(3)
    ]
    said = [maker.communicate()[0].strip() for maker in makers]
    assert sorted(said) == [b"False", b"False", b"True"]
    Keyring.load(path)


def test_a_spoilt_file_keeps_a_running_process_going(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    keyring = Keyring.load(path)
    sealed = keyring.seal("payment", b"x", recipient=R1, schema=SCHEMA)
    good = path.read_text()
    secret = keyfile.read(path).keys["payment"][0].secret
    path.write_text(good.replace('"version":', '"vision":'))
    _look_now(keyring)
    assert keyring.open(sealed, "payment", recipient=R1, schema=SCHEMA) == b"x"
    with pytest.raises(KeyFileInvalid) as caught:
        Keyring.load(path)
    assert secret not in f"{caught.value!r} {caught.value} {caught.value.__cause__}"
    path.write_text(good)
    _look_now(keyring)
    assert keyring.open(sealed, "payment", recipient=R1, schema=SCHEMA) == b"x"


@pytest.mark.parametrize("damage", [("AAAA", "has 3 bytes"), ("?", "not base64url")])
def test_a_key_of_wrong_length_is_named_but_not_shown(path: Path, damage: tuple[str, str]) -> None:
    file = keyfile.read(path)
    for kind in ("payment", "submission"):
        secret = file.keys[kind][0].secret  # type: ignore[index]
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SALUR_KEYS_JSON", path.read_text().replace(secret, damage[0]))
            with pytest.raises(KeyFileInvalid, match=damage[1]):
                Keyring.load()


def test_where_keys_come_from(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SALUR_KEYS", "SALUR_KEYS_JSON", "SALUR_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(KeyMissing, match="no key file"):
        Keyring.load()
    monkeypatch.setenv("SALUR_HOME", str(tmp_path))
    payment = Keyring.load().active_id("payment")
    monkeypatch.setenv("SALUR_KEYS", str(path))
    assert Keyring.load().active_id("payment") == payment
    monkeypatch.setenv("SALUR_KEYS_JSON", keyfile.read(path).only({"payment"}).model_dump_json())
    assert Keyring.load().active_id("payment") == payment
    with pytest.raises(KeyMissing):
        Keyring.load(only={"identity"})


def test_an_aes_128_key_works_too(path: Path) -> None:
    secret = keyfile.read(path).keys["payment"][0].secret
    path.write_text(path.read_text().replace(secret, hpke.to_base64url(bytes(16))))
    keyring = Keyring.load(path)
    sealed = keyring.seal("payment", b"x", recipient=R1, schema=SCHEMA)
    assert keyring.open(sealed, "payment", recipient=R1, schema=SCHEMA) == b"x"


# ---- submissions ----


@settings(max_examples=50)
@given(plaintext=st.binary(max_size=2000))
def test_a_submission_opens_for_its_source_and_event_only(keyring: Keyring, plaintext: bytes) -> None:
    sealed = seal_submission(keyring.public_keys(), plaintext, source="dinsos", event_id="e|1")
    assert open_submission(keyring, sealed, source="dinsos", event_id="e|1") == plaintext
    for source, event_id in (("dinsos", "e|2"), ("other", "e|1"), ("dinsos|e", "1"), ("", "e|1"), ("dinsos", "")):
        with pytest.raises(CannotOpen):
            open_submission(keyring, sealed, source=source, event_id=event_id)


def test_a_submission_that_was_changed_does_not_open(keyring: Keyring) -> None:
    doc = keyring.public_keys()
    sealed = seal_submission(doc.model_dump(mode="json"), b"{}", source="dinsos", event_id="1")
    zeros = hpke.to_base64url(bytes(32))  # a point of low order
    for field in ("enc", "ciphertext"):
        text = getattr(sealed, field)
        for changed in ("B" + text[1:], "C" + text[1:], text[:-4], text[:2], zeros, "A" * 44, "A"):
            if changed != text:
                broken = sealed.model_copy(update={field: changed})
                with pytest.raises(CannotOpen):
                    open_submission(keyring, broken, source="dinsos", event_id="1")
    unknown = sealed.model_copy(update={"key_id": "sub-zzzzzzzz"})
    with pytest.raises(CannotOpen, match="no submission key"):
        open_submission(keyring, unknown, source="dinsos", event_id="1")
    padded = sealed.model_copy(update={"enc": sealed.enc + "="})
    assert open_submission(keyring, padded, source="dinsos", event_id="1") == b"{}"


def test_submission_keys_rotate_and_die(path: Path) -> None:
    keyring = Keyring.load(path)
    sealed = seal_submission(keyring.public_keys(), b"{}", source="dinsos", event_id="1")
    new_id = keyfile.rotate(path, "submission", now=clock.now() - timedelta(minutes=5))
    assert keyring.public_keys().keys[0].key_id == new_id
    assert open_submission(keyring, sealed, source="dinsos", event_id="1") == b"{}"
    keyfile.destroy(path, sealed.key_id, in_use=lambda _: NOTHING_DEPENDS)
    _look_now(keyring)
    with pytest.raises(Erased):
        open_submission(keyring, sealed, source="dinsos", event_id="1")


@pytest.mark.parametrize(
    ("doc", "source", "event_id", "size"),
    [
        ({}, "dinsos", "1", 1),
        ({"keys": []}, "dinsos", "1", 1),
        (None, "din|sos", "1", 1),
        (None, "dinsos", "ein s", 1),
        (None, "", "1", 1),
        (None, "dinsos", "1", hpke.SUBMISSION_BYTES_MAX + 1),
        (
            {"keys": [{"key_id": "sub-abcdefgh", "public_key": "AAAA", "not_before": "2026-11-01T00:00:00Z"}]},
            "d",
            "1",
            1,
        ),
    ],
)
def test_what_cannot_be_sealed(keyring: Keyring, doc: object, source: str, event_id: str, size: int) -> None:
    document = keyring.public_keys() if doc is None else doc
    with pytest.raises(SalurError):
        seal_submission(document, b"x" * size, source=source, event_id=event_id)  # type: ignore[arg-type]


def test_the_largest_submission_passes_the_model(keyring: Keyring) -> None:
    largest = b"x" * hpke.SUBMISSION_BYTES_MAX
    sealed = seal_submission(keyring.public_keys(), largest, source="dinsos", event_id="1")
    again = hpke.SealedSubmission.model_validate_json(sealed.model_dump_json())
    assert open_submission(keyring, again, source="dinsos", event_id="1") == largest
    assert sealed.ciphertext[:20] not in repr(sealed) + str(sealed)


def test_padding_leaves_json_as_it_is() -> None:
    padded = hpke.pad_json(b'{"a":1}')
    assert len(padded) == 512
    assert orjson.loads(padded) == {"a": 1}


def test_published_keys_hold_nothing_private(path: Path) -> None:
    file = keyfile.read(path)
    document = Keyring.load(path).public_keys().model_dump_json()
    assert all(key.secret not in document for keys in file.keys.values() for key in keys)
    assert datetime.fromisoformat(orjson.loads(document)["keys"][0]["not_before"]).astimezone(UTC) <= clock.now()
