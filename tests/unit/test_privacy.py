"""What is sealed opens where it should, nowhere else, and shows itself to nobody."""

import copy
import json
import logging
import pickle
import subprocess
import sys

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, ValidationError

from shared.errors import CannotOpen, KeyMissing
from shared.privacy import PURPOSES, Keyring, Purpose, Sealed
from shared.privacy.identity import family_id, recipient_id
from tests.unit.keyrings import R1, R2, SCHEMA

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
