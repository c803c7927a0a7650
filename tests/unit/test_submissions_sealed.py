"""What a source seals with HPKE opens for that source and event alone."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared import clock
from shared.errors import CannotOpen, Erased, SalurError
from shared.privacy import Keyring, hpke, keyfile, open_submission, seal_submission
from tests.unit.keyrings import NOTHING_DEPENDS, look_now


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


def test_submission_keys_rotate_and_die(key_file: Path) -> None:
    keyring = Keyring.load(key_file)
    sealed = seal_submission(keyring.public_keys(), b"{}", source="dinsos", event_id="1")
    new_id = keyfile.rotate(key_file, "submission", now=clock.now() - timedelta(minutes=5))
    assert keyring.public_keys().keys[0].key_id == new_id
    assert open_submission(keyring, sealed, source="dinsos", event_id="1") == b"{}"
    keyfile.destroy(key_file, sealed.key_id, in_use=lambda _: NOTHING_DEPENDS)
    look_now(keyring)
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


def test_published_keys_hold_nothing_private(key_file: Path) -> None:
    file = keyfile.read(key_file)
    document = Keyring.load(key_file).public_keys().model_dump_json()
    assert all(key.secret not in document for keys in file.keys.values() for key in keys)
    assert datetime.fromisoformat(orjson.loads(document)["keys"][0]["not_before"]).astimezone(UTC) <= clock.now()
