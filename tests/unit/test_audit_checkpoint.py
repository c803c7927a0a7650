"""A checkpoint's form and key, and a chain that goes through one."""

import json
import os
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from salur.inside.audit import checkpoint as checkpoints
from salur.inside.audit.chain import Chain, Head, Mark
from salur.inside.audit.checkpoint import Checkpoint, LedgerHead, NotACheckpoint, Statement, TopicHead, canonical
from salur.inside.audit.result import Findings, Kind
from salur.inside.audit.signing import SigningKey, SigningKeyInvalid, ensure, pem, public_key, raw, read
from shared.errors import SalurError
from shared.privacy import keyfile
from shared.runtime.digest import Record
from shared.runtime.positions import Place
from tests.unit.test_audit_chain import head, record, value

KEY = SigningKey(Ed25519PrivateKey.generate())


def statement() -> Statement:
    heads = TopicHead(stage="payout", topic="payout.ordered", partition=3, next_sequence=7, digest="ab" * 32)
    balances = {"sembako-2026-11": {"treasury": -5, "budget": 5}}
    books = LedgerHead(last_id=9, transfers=8, digest="cd" * 32, balances_idr=balances)
    return Statement(made_at="2026-11-24T07:00:00.000000Z", heads=(heads,), ledger=books, key=KEY.id)


def test_the_canonical_form() -> None:
    """As RFC 8785: members sorted, no white space, only what must be escaped is."""
    assert (
        canonical({"b": [1, None, True], "a": 'é"\\\n\u0001/'})
        == '{"a":"é\\"\\\\\\n\\u0001/","b":[1,null,true]}'.encode()
    )
    with pytest.raises(SalurError, match="9007199254740992"):
        canonical({"amount": [2**53]})


def test_a_file_is_read_as_it_was_signed(tmp_path: Path) -> None:
    signed = checkpoints.sign(statement(), KEY)
    file = tmp_path / "checkpoint.json"
    checkpoints.write(signed, file)
    assert checkpoints.read(file, KEY.public) == signed
    file.write_text(json.dumps(json.loads(file.read_bytes()), indent=4))  # another layout says the same
    assert checkpoints.read(file, KEY.public) == signed


@given(st.data())
def test_no_changed_value_passes(data: st.DataObject) -> None:
    """Whatever of a checkpoint is changed, it is not signed any more, or no checkpoint any more."""
    signed = checkpoints.sign(statement(), KEY).model_dump(mode="json")
    text = canonical(signed)
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda byte: byte != text[at]))
    changed = text[:at] + bytes([other]) + text[at + 1 :]
    try:
        document = json.loads(changed)
    except ValueError:
        return
    if document == signed:
        return  # white space for white space
    path = Path(os.devnull)
    with pytest.raises((NotACheckpoint, checkpoints.NotSigned)):
        checkpoints.parse(changed, path, KEY.public)


def test_a_signature_has_one_spelling() -> None:
    """Decoders of base64 ignore spare bits, and take two alphabets: another text would pass, with another hash."""
    made = (statement().model_copy(update={"made_at": f"at {n}"}) for n in range(1_000))
    signed = next(s for s in (checkpoints.sign(one, KEY) for one in made) if "-" in s.signature)
    signature = signed.signature
    for other in (signature + "==", signature[:-1] + chr(ord(signature[-1]) + 1), signature.replace("-", "+", 1)):
        changed = canonical({**signed.model_dump(mode="json"), "signature": other})
        with pytest.raises(checkpoints.NotSigned):
            checkpoints.parse(changed, Path(os.devnull), KEY.public)


def test_the_key_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "key.pem"
    key, made = ensure(path)
    assert made
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again, made = ensure(path)
    assert (again.id, made) == (key.id, False)
    path.chmod(0o640)
    with pytest.raises(SigningKeyInvalid, match="others"):
        read(path)


def test_a_services_key_file_signs_nothing(tmp_path: Path) -> None:
    keyfile.create(tmp_path / "keys.json")
    with pytest.raises(SigningKeyInvalid, match="not an Ed25519 private key"):
        ensure(tmp_path / "keys.json")


def test_a_public_key_in_each_form(tmp_path: Path) -> None:
    (tmp_path / "public.pem").write_text(pem(KEY.public))
    (tmp_path / "public.txt").write_text(raw(KEY.public) + "\n")
    for given_as in (raw(KEY.public), pem(KEY.public), str(tmp_path / "public.pem"), str(tmp_path / "public.txt")):
        assert raw(public_key(given_as)) == raw(KEY.public)
    for wrong in ("", "x", raw(KEY.public)[:-3], str(tmp_path / "none.pem"), "-----BEGIN NOTHING"):
        with pytest.raises(SigningKeyInvalid):
            public_key(wrong)


def since(sequence: int) -> Mark:
    return Mark(*head(sequence), made_at="then")


def chained(
    values: list[bytes],
    committed: Head,
    marks: list[Mark],
    base: Head = Head(),
    outbox: tuple[int, list[bytes]] = (0, []),
) -> tuple[Chain, Findings]:
    """A partition that holds these values from `base` on."""
    findings = Findings()
    chain = Chain("registry", Place("t", 0), committed, findings, marks, base)
    chain.take([record(n, n, one) for n, one in enumerate(values, base.next_sequence)])
    chain.take_waiting(outbox[0], [Record(b"k", one) for one in outbox[1]])
    chain.finish()
    return chain, findings


def digest_of(values: list[bytes]) -> Head:
    chain, _ = chained(values, Head(), [])
    return Head(len(values), chain._digest)


@given(st.integers(1, 20), st.integers(0, 20), st.data())
def test_what_goes_through_its_checkpoints_is_right(before: int, after: int, data: st.DataObject) -> None:
    """Wherever the checkpoints were made, and wherever the topic ends and the outbox goes on."""
    total = before + after
    values = [value(n) for n in range(total)]
    marks = sorted({since(n) for n in data.draw(st.lists(st.integers(1, before), max_size=3))} | {since(before)})
    published = data.draw(st.integers(0, total))
    waiting_from = data.draw(st.integers(0, published))
    waiting = (waiting_from, values[waiting_from:])
    _, findings = chained(values[:published], head(total), marks, outbox=waiting)
    assert findings.listed == []
    first = max(before, min(published, total))
    new, findings = chained(values[before:first], head(total), marks, head(before), (0, values))
    assert findings.listed == []
    assert new.accepted == after


@given(st.integers(1, 20), st.integers(0, 20), st.data())
def test_a_rewritten_chain_is_found(before: int, after: int, data: st.DataObject) -> None:
    """Topic and database agree with each other: the checkpoint alone tells, and of several the first that differs."""
    values = [value(n) for n in range(before + after)]
    changed = data.draw(st.integers(0, before - 1))
    values[changed] += b"!"
    middle = data.draw(st.integers(1, before))
    _, findings = chained(values, digest_of(values), sorted({since(middle), since(before)}))
    [finding] = findings.listed
    assert finding.kind == Kind.CHECKPOINT_DIFFERS
    assert finding.sequence == (0 if changed < middle else middle)


@given(st.integers(1, 20), st.data())
def test_a_shortened_chain_is_found(before: int, data: st.DataObject) -> None:
    """Both sides were cut to the same length."""
    length = data.draw(st.integers(0, before - 1))
    values = [value(n) for n in range(length)]
    _, findings = chained(values, digest_of(values), [since(before)])
    assert {finding.kind for finding in findings.listed} == {Kind.CHECKPOINT_MISSING}
    assert {finding.sequence for finding in findings.listed} == {length}


def test_null_headers_are_no_trouble() -> None:
    """A header may be null, and may call itself a sequence of any length: each is a finding."""
    findings = Findings()
    chain = Chain("registry", Place("t", 0), head(1), findings)
    for headers in ((("sequence", None),), (("sequence", b"9" * 5000),), (("sequence", b"0"), ("x", None))):
        foreign = record(0, 0, value(0))
        foreign.headers = headers
        chain.take([foreign])
    chain.finish()
    assert findings.counts() == {Kind.NO_SEQUENCE: 2, Kind.DIGEST: 1}


def test_the_previous_one_is_named_by_its_hash(tmp_path: Path) -> None:
    from hashlib import sha256

    signed: Checkpoint = checkpoints.sign(statement(), KEY)
    checkpoints.write(signed, tmp_path / "one.json")
    assert signed.sha256 == sha256((tmp_path / "one.json").read_bytes()).hexdigest()
