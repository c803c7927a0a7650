"""What a key file holds: keys with their periods, and what follows from them at a given time. No I/O here."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, Literal, NamedTuple, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.errors import KeyMissing, SalurError

Kind = Literal["submission", "eligibility", "payment", "contact", "particulars", "recovery", "access"]
Share = Literal["identity", "submission", "eligibility", "payment", "contact", "particulars", "recovery", "access"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
SHARES: Final[tuple[Share, ...]] = get_args(Share)

# After so long a key is due for its successor. One AES-GCM key must seal well below 2**32 values (random nonces of 96
# bits, NIST SP 800-38D section 8.3): 20 million people with ten values each in a period make 2**28.
PERIOD_DAYS: Final[Mapping[Kind, int]] = {kind: 365 if kind == "submission" else 92 for kind in KINDS}


class KeyFileInvalid(SalurError):
    """The key file cannot be read, is not in form, or others may read it."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class IdentityKeys(_Model):
    """Keys of the ids of people and families: base64url, 32 bytes. They never rotate."""

    nik: str = Field(repr=False)
    kk: str = Field(repr=False)


class Key(_Model):
    """A key and its period: it seals from `not_before` to `retired`, and opens until it is destroyed."""

    id: str
    created: datetime
    not_before: datetime
    retired: datetime | None = None
    secret: str = Field(repr=False, description="base64url: AES key of 16 or 32 bytes, X25519 private key of 32")


class Tombstone(_Model):
    """What is left of a destroyed key, so that what it sealed is known to be erased."""

    id: str
    kind: Kind
    destroyed_at: datetime


class Part(_Model):
    """A part that was written from this file; `path` is relative to this file's folder."""

    path: str
    holds: tuple[Share, ...]


class KeyFile(_Model):
    """A main file, or a part with what one service needs."""

    version: Literal[1] = 1
    part: bool = False
    identity: IdentityKeys | None = None
    keys: dict[Kind, tuple[Key, ...]] = Field(default_factory=dict, description="Of each kind in the order of making")
    destroyed: tuple[Tombstone, ...] = ()
    parts: tuple[Part, ...] = ()

    def only(self, shares: Collection[str]) -> "KeyFile":
        """The part that holds these shares. Raises KeyMissing for one that this file has not."""
        if unknown := sorted(set(shares) - set(SHARES)):
            raise SalurError(f"no such part of a key file: {', '.join(unknown)}", hint=f"there are {', '.join(SHARES)}")
        missing = [s for s in SHARES if s in shares and not (self.identity if s == "identity" else s in self.keys)]
        if missing:
            raise KeyMissing(
                f"the key file holds no {' and no '.join(missing)} key",
                hint="`salur keys narrow` on the main file writes a part that does",
            )
        return KeyFile(
            part=True,
            identity=self.identity if "identity" in shares else None,
            keys={kind: keys for kind, keys in self.keys.items() if kind in shares},
            destroyed=tuple(tombstone for tombstone in self.destroyed if tombstone.kind in shares),
        )


class KeyState(NamedTuple):
    """One line of `salur keys list`. `due`: when the key in use should have a successor."""

    id: str
    kind: Kind
    state: Literal["pending", "active", "retired", "destroyed"]
    not_before: datetime | None = None
    retired: datetime | None = None
    destroyed_at: datetime | None = None
    due: datetime | None = None


def parse(raw: str | bytes, where: str) -> KeyFile:
    """Raises KeyFileInvalid, which names the field that is wrong but never its value."""
    try:
        return KeyFile.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise KeyFileInvalid(f"{where} is no key file of version 1: {field}: {first['type']}") from None


def active_key(keys: Sequence[Key], now: datetime) -> Key | None:
    """The last made whose time has come: the order of the file decides, not clocks that differ."""
    return next((key for key in reversed(keys) if key.not_before <= now), None)


def states(file: KeyFile, now: datetime) -> list[KeyState]:
    """Every key and tombstone, by kind and age."""
    return [
        state
        for kind in KINDS
        for state in (*_living(kind, file.keys.get(kind, ()), now), *(_dead(t) for t in file.destroyed))
        if state.kind == kind
    ]


def _living(kind: Kind, keys: Sequence[Key], now: datetime) -> list[KeyState]:
    active = active_key(keys, now)
    lines = []
    for key in keys:
        if key is active:
            due = key.not_before + timedelta(days=PERIOD_DAYS[kind])
            lines.append(KeyState(key.id, kind, "active", key.not_before, key.retired, due=due))
        else:
            state: Literal["pending", "retired"] = "pending" if key.not_before > now else "retired"
            lines.append(KeyState(key.id, kind, state, key.not_before, key.retired))
    return lines


def _dead(tombstone: Tombstone) -> KeyState:
    return KeyState(tombstone.id, tombstone.kind, "destroyed", destroyed_at=tombstone.destroyed_at)
