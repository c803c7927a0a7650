"""The life of keys: they rotate, part and die; a file of them is for its owner, and a spoilt one harms nobody."""

import os
import stat
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from shared import clock
from shared.errors import CannotOpen, Erased, KeyInUse, KeyMissing, SalurError
from shared.privacy import Keyring, hpke, keyfile
from shared.privacy import keyring as keyring_module
from shared.privacy.keyfile import KeyFileExists
from shared.privacy.keys import KeyFileInvalid, states
from tests.unit.keyrings import NOTHING_DEPENDS, R1, SCHEMA, look_now


def test_rotation_seals_with_the_new_key_and_opens_what_the_old_one_sealed(key_file: Path) -> None:
    running = Keyring.load(key_file)
    old = running.seal("payment", b"old", recipient=R1, schema=SCHEMA)
    new_id = keyfile.rotate(key_file, "payment")
    look_now(running)
    new = running.seal("payment", b"new", recipient=R1, schema=SCHEMA)
    assert new.key_id == new_id != old.key_id
    for keyring in (running, Keyring.load(key_file)):
        assert keyring.open(old, "payment", recipient=R1, schema=SCHEMA) == b"old"
        assert keyring.open(new, "payment", recipient=R1, schema=SCHEMA) == b"new"
    moved = running.reseal(old, "payment", recipient=R1, schema=SCHEMA)
    assert moved.key_id == new_id
    assert running.reseal(moved, "payment", recipient=R1, schema=SCHEMA) is moved
    assert running.open(moved, "payment", recipient=R1, schema=SCHEMA) == b"old"


def test_a_running_process_learns_an_unknown_key_at_once(key_file: Path) -> None:
    reader, writer = Keyring.load(key_file), Keyring.load(key_file)
    reader.open(reader.seal("payment", b"x", recipient=R1, schema=SCHEMA), "payment", recipient=R1, schema=SCHEMA)
    keyfile.rotate(key_file, "payment")
    look_now(writer)
    sealed = writer.seal("payment", b"x", recipient=R1, schema=SCHEMA)
    assert reader.open(sealed, "payment", recipient=R1, schema=SCHEMA) == b"x"


def test_a_key_of_tomorrow_opens_but_does_not_seal(key_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    today = Keyring.load(key_file).active_id("payment")
    tomorrow = keyfile.rotate(key_file, "payment", active_in_s=86_400)
    keyring = Keyring.load(key_file)
    assert keyring.active_id("payment") == today
    later = clock.now() + timedelta(days=2)
    monkeypatch.setattr(clock, "now", lambda: later)
    look_now(keyring)
    assert keyring.active_id("payment") == tomorrow


def test_a_destroyed_key_means_erased_not_broken(key_file: Path) -> None:
    running = Keyring.load(key_file)
    sealed = running.seal("contact", b"x", recipient=R1, schema=SCHEMA)
    keyfile.rotate(key_file, "contact", now=clock.now() - timedelta(minutes=5))
    look_now(running)
    assert running.active_id("contact") != sealed.key_id
    keyfile.destroy(key_file, sealed.key_id, in_use=lambda _: NOTHING_DEPENDS)
    look_now(running)
    for keyring in (running, Keyring.load(key_file), Keyring.load(key_file, only={"contact"})):
        with pytest.raises(Erased):
            keyring.open(sealed, "contact", recipient=R1, schema=SCHEMA)
        with pytest.raises(CannotOpen):
            keyring.open(sealed, "payment", recipient=R1, schema=SCHEMA)
    assert [s.state for s in states(keyfile.read(key_file), clock.now()) if s.id == sealed.key_id] == ["destroyed"]
    secret_gone = keyfile.read(key_file).model_dump_json()
    assert sealed.key_id in secret_gone
    with pytest.raises(KeyMissing, match="destroyed before"):
        keyfile.destroy(key_file, sealed.key_id, in_use=lambda _: NOTHING_DEPENDS)


def test_a_key_that_is_needed_is_not_destroyed(key_file: Path) -> None:
    first = Keyring.load(key_file).active_id("payment")
    with pytest.raises(KeyInUse, match="still seals"):
        keyfile.destroy(key_file, first, in_use=lambda _: NOTHING_DEPENDS)
    keyfile.rotate(key_file, "payment")
    with pytest.raises(KeyInUse, match="seconds ago"):
        keyfile.destroy(key_file, first, in_use=lambda _: NOTHING_DEPENDS)
    in_an_hour = clock.now() + timedelta(hours=1)
    asked: list[str] = []

    def two_rows(key_id: str) -> dict[str, int]:
        asked.append(key_id)
        return {"payout: orders": 2, "payout: cycles": 0}

    with pytest.raises(KeyInUse, match=r"payout: orders \(2\)$"):
        keyfile.destroy(key_file, first, in_use=two_rows, now=in_an_hour)
    assert asked == [first]
    keyfile.destroy(key_file, first, in_use=lambda _: NOTHING_DEPENDS, now=in_an_hour)
    with pytest.raises(KeyMissing):
        keyfile.destroy(key_file, "pay-nosuchky", in_use=lambda _: NOTHING_DEPENDS)


def test_identity_keys_never_rotate(key_file: Path) -> None:
    with pytest.raises(SalurError, match="no rotation"):
        keyfile.rotate(key_file, "identity")  # type: ignore[arg-type]


def test_a_narrowed_keyring_has_its_part_and_no_more(key_file: Path, tmp_path: Path) -> None:
    whole = Keyring.load(key_file)
    payment = whole.seal("payment", b"x", recipient=R1, schema=SCHEMA)
    contact = whole.seal("contact", b"x", recipient=R1, schema=SCHEMA)
    out = tmp_path / "parts" / "payout.json"
    keyfile.narrow(key_file, {"payment", "recovery"}, out)
    for keyring in (Keyring.load(key_file, only={"payment", "recovery"}), Keyring.load(out)):
        assert keyring.open(payment, "payment", recipient=R1, schema=SCHEMA) == b"x"
        with pytest.raises(KeyMissing):
            keyring.open(contact, "contact", recipient=R1, schema=SCHEMA)
        with pytest.raises(KeyMissing):
            keyring.seal("contact", b"x", recipient=R1, schema=SCHEMA)
        for ask in (lambda k=keyring: k.recipient_id("7604011203870001"), keyring.public_keys):
            with pytest.raises(KeyMissing):
                ask()
    text = out.read_text()
    file = keyfile.read(key_file)
    assert file.identity is not None
    for kind in ("submission", "contact", "eligibility"):
        assert file.keys[kind][0].secret not in text  # type: ignore[index]
    assert file.identity.nik not in text
    with pytest.raises(KeyMissing):
        Keyring.load(out, only={"contact"})
    with pytest.raises(SalurError, match="no such part"):
        keyfile.narrow(key_file, {"everything"}, tmp_path / "x.json")
    with pytest.raises(KeyFileExists):
        keyfile.narrow(key_file, {"payment"}, key_file)


def test_parts_follow_the_main_file(key_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "payout.json"
    keyfile.narrow(key_file, {"payment"}, out)
    part = Keyring.load(out)
    old = part.seal("payment", b"x", recipient=R1, schema=SCHEMA)
    new_id = keyfile.rotate(key_file, "payment", now=clock.now() - timedelta(minutes=5))
    look_now(part)
    assert part.active_id("payment") == new_id
    keyfile.destroy(key_file, old.key_id, in_use=lambda _: NOTHING_DEPENDS)
    look_now(part)
    with pytest.raises(Erased):
        part.open(old, "payment", recipient=R1, schema=SCHEMA)
    with pytest.raises(SalurError, match="is a part"):
        keyfile.rotate(out, "payment")
    out.unlink()
    keyfile.rotate(key_file, "payment")
    assert not out.exists()


@pytest.mark.skipif(os.name != "posix", reason="file modes are of POSIX systems")
def test_the_file_is_for_its_owner_and_never_overwritten(key_file: Path, tmp_path: Path) -> None:
    keyfile.narrow(key_file, {"payment"}, tmp_path / "part.json")
    keyfile.rotate(key_file, "payment")
    for file in (key_file, tmp_path / "part.json"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    before = key_file.read_bytes()
    with pytest.raises(KeyFileExists):
        keyfile.create(key_file)
    assert not keyfile.ensure(key_file)
    assert key_file.read_bytes() == before
    assert sorted(f.name for f in tmp_path.iterdir()) == ["keys.json", "part.json"], "nothing temporary is left"
    key_file.chmod(0o604)
    with pytest.raises(KeyFileInvalid, match="everybody"):
        Keyring.load(key_file)


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


def test_a_spoilt_file_keeps_a_running_process_going(key_file: Path, caplog: pytest.LogCaptureFixture) -> None:
    keyring = Keyring.load(key_file)
    sealed = keyring.seal("payment", b"x", recipient=R1, schema=SCHEMA)
    good = key_file.read_text()
    secret = keyfile.read(key_file).keys["payment"][0].secret
    key_file.write_text(good.replace('"version":', '"vision":'))
    look_now(keyring)
    assert keyring.open(sealed, "payment", recipient=R1, schema=SCHEMA) == b"x"
    with pytest.raises(KeyFileInvalid) as caught:
        Keyring.load(key_file)
    assert secret not in f"{caught.value!r} {caught.value} {caught.value.__cause__}"
    key_file.write_text(good)
    look_now(keyring)
    assert keyring.open(sealed, "payment", recipient=R1, schema=SCHEMA) == b"x"


@pytest.mark.parametrize("damage", [("AAAA", "has 3 bytes"), ("?", "not base64url")])
def test_a_key_of_wrong_length_is_named_but_not_shown(key_file: Path, damage: tuple[str, str]) -> None:
    file = keyfile.read(key_file)
    for kind in ("payment", "submission"):
        secret = file.keys[kind][0].secret  # type: ignore[index]
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SALUR_KEYS_JSON", key_file.read_text().replace(secret, damage[0]))
            with pytest.raises(KeyFileInvalid, match=damage[1]):
                Keyring.load()


def test_where_keys_come_from(key_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SALUR_KEYS", "SALUR_KEYS_JSON", "SALUR_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(KeyMissing, match="no key file"):
        Keyring.load()
    monkeypatch.setenv("SALUR_HOME", str(tmp_path))
    payment = Keyring.load().active_id("payment")
    monkeypatch.setenv("SALUR_KEYS", str(key_file))
    assert Keyring.load().active_id("payment") == payment
    monkeypatch.setenv("SALUR_KEYS_JSON", keyfile.read(key_file).only({"payment"}).model_dump_json())
    assert Keyring.load().active_id("payment") == payment
    with pytest.raises(KeyMissing):
        Keyring.load(only={"identity"})


def test_an_aes_128_key_works_too(key_file: Path) -> None:
    secret = keyfile.read(key_file).keys["payment"][0].secret
    key_file.write_text(key_file.read_text().replace(secret, hpke.to_base64url(bytes(16))))
    keyring = Keyring.load(key_file)
    sealed = keyring.seal("payment", b"x", recipient=R1, schema=SCHEMA)
    assert keyring.open(sealed, "payment", recipient=R1, schema=SCHEMA) == b"x"


def test_a_key_that_sealed_its_limit_refuses(key_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyring_module, "SEALS_WARN", 2)
    monkeypatch.setattr(keyring_module, "SEALS_MAX", 3)
    keyring = Keyring.load(key_file)
    for _ in range(3):
        keyring.seal("payment", b"x", recipient=R1, schema=SCHEMA)
    assert keyring.seals()[keyring.active_id("payment")] == 3
    with pytest.raises(KeyMissing, match="limit"):
        keyring.seal("payment", b"x", recipient=R1, schema=SCHEMA)
    keyfile.rotate(key_file, "payment")
    look_now(keyring)
    keyring.seal("payment", b"x", recipient=R1, schema=SCHEMA)
