"""The key file on disk: JSON, mode 0600, changed only in one step (a new file takes the old one's place).

A main file holds everything. Each service gets a part with the keys it needs and nothing else; the main file remembers
its parts, and they follow when a key is made or destroyed.
"""

import os
import secrets
import string
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from shared import clock
from shared.errors import KeyInUse, KeyMissing, SalurError
from shared.privacy.hpke import to_base64url
from shared.privacy.keys import KINDS, SHARES, IdentityKeys, Key, KeyFile, KeyFileInvalid, Kind, Part, Tombstone, parse
from shared.privacy.sealed import ID_PREFIXES

# A process that has not looked at the file since the rotation may still seal with the key before.
RETIRED_S_MIN: Final = 60
_AES_KEY_BYTES: Final = 32
_IDENTITY_KEY_BYTES: Final = 32


class KeyFileExists(SalurError):
    """A key file is never overwritten: all that it sealed would be lost."""


def create(path: Path, *, now: datetime | None = None) -> None:
    """Makes a main file with a key of every kind, for its owner only. Raises KeyFileExists.

    The file appears with its whole content or not at all; of several processes at once, one makes it.
    """
    at = now or clock.now()
    file = KeyFile(
        identity=IdentityKeys(nik=_random(_IDENTITY_KEY_BYTES), kk=_random(_IDENTITY_KEY_BYTES)),
        keys={kind: (_new_key(kind, at, at, taken=()),) for kind in KINDS},
    )
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = _write_beside(path, file)
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise KeyFileExists(f"there is a key file at {path} already") from None
    finally:
        temporary.unlink()
    _sync_folder(path)


def ensure(path: Path) -> bool:
    """Makes the file where there is none, and says whether it did. One of an older version gets keys of newer kinds."""
    try:
        create(path)
    except KeyFileExists:
        _complete(path)
        return False
    return True


def read(path: Path) -> KeyFile:
    """Raises KeyMissing where there is no file, KeyFileInvalid when it is not in form or open to everybody."""
    try:
        with path.open("rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            raw = stream.read()
    except FileNotFoundError:
        raise KeyMissing(
            f"no key file at {path}", hint="`salur keys create` makes one; SALUR_KEYS says where"
        ) from None
    except OSError as error:
        raise KeyFileInvalid(f"the key file {path} cannot be read: {error.strerror}") from None
    if os.name == "posix" and mode & 0o007:
        raise KeyFileInvalid(f"everybody on this machine may use the key file {path}", hint=f"chmod 600 {path}")
    return parse(raw, str(path))


def rotate(path: Path, kind: Kind, *, active_in_s: float = 0, now: datetime | None = None) -> str:
    """Adds a key that seals from `active_in_s` seconds on, retires the one before it, and returns the new id.

    Retired keys still open. The delay gives parts on other machines the time to arrive there before they are needed.
    """
    if kind not in KINDS:
        raise SalurError(f"there is no rotation of {kind!r} keys", hint=f"these rotate: {', '.join(KINDS)}")
    at = now or clock.now()
    with _changing(path) as (file, save):
        taken = [key.id for keys in file.keys.values() for key in keys] + [t.id for t in file.destroyed]
        new = _new_key(kind, at, at + timedelta(seconds=active_in_s), taken)
        old = tuple(_retired(key, new.not_before) for key in file.keys.get(kind, ()))
        save(file.model_copy(update={"keys": {**file.keys, kind: (*old, new)}}))
        return new.id


def destroy(
    path: Path, key_id: str, *, in_use: Callable[[str], Mapping[str, int]], now: datetime | None = None
) -> Tombstone:
    """Removes a retired key for ever and leaves a tombstone.

    `in_use` says how many current values depend on the key, by where they are. Raises KeyInUse when any do or the key
    has not been retired for RETIRED_S_MIN, KeyMissing for an id that is not in the file. Copies and backups of the
    file are the caller's to destroy.
    """
    at = now or clock.now()
    with _changing(path) as (file, save):
        kind, key = find(file, key_id)
        if key.retired is None or key.retired + timedelta(seconds=RETIRED_S_MIN) > at:
            raise KeyInUse(
                f"key {key_id} still seals, or did less than {RETIRED_S_MIN} seconds ago",
                hint=f"`salur keys rotate {kind}` makes its successor; destroy it a minute after that one is active",
            )
        if users := {where: count for where, count in in_use(key_id).items() if count}:
            listed = ", ".join(f"{where} ({count})" for where, count in sorted(users.items()))
            raise KeyInUse(
                f"current values depend on key {key_id}: {listed}",
                hint=f"`salur keys reseal {key_id}` seals them anew first",
            )
        tombstone = Tombstone(id=key_id, kind=kind, destroyed_at=at)
        left = tuple(k for k in file.keys[kind] if k.id != key_id)
        keys = {**file.keys, kind: left}
        save(file.model_copy(update={"keys": keys, "destroyed": (*file.destroyed, tombstone)}), parts_first=True)
        return tombstone


def narrow(path: Path, shares: Collection[str], out: Path) -> None:
    """Writes the part for one service and remembers it, so that later changes reach it.

    An older part at `out` is replaced; a main file there is not (KeyFileExists).
    """
    if out.exists() and not read(out).part:
        raise KeyFileExists(f"{out} is a main key file and is not overwritten")
    out.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _changing(path) as (file, save):
        file.only(shares)
        name = os.path.relpath(out.resolve(), path.resolve().parent)
        part = Part(path=name, holds=tuple(share for share in SHARES if share in shares))
        others = tuple(known for known in file.parts if known.path != name)
        save(file.model_copy(update={"parts": (*others, part)}), new_part=name)


def find(file: KeyFile, key_id: str) -> tuple[Kind, Key]:
    """Raises KeyMissing."""
    for kind, keys in file.keys.items():
        for key in keys:
            if key.id == key_id:
                return kind, key
    gone = any(tombstone.id == key_id for tombstone in file.destroyed)
    raise KeyMissing(
        f"key {key_id} was destroyed before" if gone else f"there is no key {key_id}", hint="see `salur keys list`"
    )


def _complete(path: Path) -> None:
    if all(kind in read(path).keys for kind in KINDS):
        return
    at = clock.now()
    with _changing(path) as (file, save):
        new = {kind: (_new_key(kind, at, at, taken=()),) for kind in KINDS if kind not in file.keys}
        save(file.model_copy(update={"keys": {**file.keys, **new}}))


def _retired(key: Key, successor_from: datetime) -> Key:
    return key.model_copy(update={"retired": min(key.retired or successor_from, successor_from)})


def _new_key(kind: Kind, created: datetime, not_before: datetime, taken: Collection[str]) -> Key:
    key_id = ""
    while not key_id or key_id in taken:
        key_id = f"{ID_PREFIXES[kind]}-" + "".join(secrets.choice(string.ascii_lowercase) for _ in range(8))
    if kind == "submission":
        secret = to_base64url(X25519PrivateKey.generate().private_bytes_raw())
    else:
        secret = _random(_AES_KEY_BYTES)
    return Key(id=key_id, created=created, not_before=not_before, secret=secret)


def _random(length_bytes: int) -> str:
    return to_base64url(os.urandom(length_bytes))


@contextmanager
def _changing(path: Path) -> Iterator[tuple[KeyFile, Callable[..., None]]]:
    """One change at a time. A part never holds a key that the main file lacks, wherever a change is cut off: what is
    added comes into the main file first, and what is destroyed leaves it last, so that it can be destroyed again."""
    real = path.resolve()
    with _locked(real.parent):
        file = read(path)
        if file.part:
            raise SalurError(f"{path} is a part of a key file", hint="change the main file; its parts follow")

        def save(changed: KeyFile, *, new_part: str = "", parts_first: bool = False) -> None:
            if not parts_first:
                _replace(real, changed)
            for part in changed.parts:
                out = real.parent / part.path
                if out.exists() or part.path == new_part:  # a part that somebody removed stays removed
                    _replace(out, changed.only(part.holds))
            if parts_first:
                _replace(real, changed)

        yield file, save


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    if sys.platform == "win32":
        yield
        return
    import fcntl

    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        raise KeyMissing(f"no key file in {folder}", hint="`salur keys create` makes one") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _replace(path: Path, file: KeyFile) -> None:
    os.replace(_write_beside(path, file), path)
    _sync_folder(path)


def _write_beside(path: Path, file: KeyFile) -> Path:
    """A new file next to `path`, for the same owner and group as the one that is there, else for ours only."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        if os.name == "posix" and path.exists():
            before = path.stat()
            os.fchmod(descriptor, before.st_mode & 0o770)
            with suppress(PermissionError):
                os.fchown(descriptor, before.st_uid, before.st_gid)
        stream.write(file.model_dump_json(indent=1) + "\n")
        stream.flush()
        os.fsync(stream.fileno())
    return temporary


def _sync_folder(path: Path) -> None:
    if os.name == "posix":
        descriptor = os.open(path.resolve().parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
